import Glibc
import Logging
import Metering
import MoneyPath
import Synchronization

/// The journal of this process on its disk. Every call may come from any thread and none waits for the disk:
/// records are copied into mapped memory under one lock, and a thread of its own does what blocks.
public final class JournalStore: Sendable {
    /// `JOURNAL_SYNC`.
    public enum SyncMode: String, Sendable, Hashable, CaseIterable {
        /// Records reach the disk within `groupMilliseconds`; a power cut may lose those.
        case group
        /// Every record is brought to disk at once, as many together as came meanwhile. The data plane holds the
        /// last chunk back until `whenDurable`.
        case strict
    }

    public struct Settings: Sendable, Hashable {
        public var syncMode: SyncMode = .group
        /// Of one segment file; a multiple of 8, at least `JournalFormat.segmentBytesMin`.
        public var segmentBytes = 16 << 20
        /// Least time between two syncs in `group` mode.
        public var groupMilliseconds = 10
        /// Pause after a spare could not be prepared.
        public var spareRetryMilliseconds = 1_000
        public var limits = Journal<MappedSegment>.Limits()

        public init() {}
    }

    struct State: Sendable {
        var journal: Journal<MappedSegment>
        var waiters: [Waiter] = []
        /// `stop` was called; is told when the thread ends.
        var ended: (@Sendable () -> Void)?
    }

    struct Waiter: Sendable {
        var sequence: UInt64
        var completion: @Sendable () -> Void
    }

    public let settings: Settings
    public let directory: JournalDirectory
    let calls: JournalCalls
    let logger: Logger
    let nowMilliseconds: @Sendable () -> Int64
    let steadyMilliseconds: @Sendable () -> Int64
    let isClockTrusted: @Sendable () -> Bool
    let state: Mutex<State>
    let alarm = SyncAlarm()
    let syncs = Atomic(0)
    let syncFailures = Atomic(0)
    let spareFailures = Atomic(0)

    /// Makes the boot's directory and its first two segments. Blocks; throws when the disk has no room for them.
    ///
    /// - Parameters:
    ///   - nowMilliseconds: since 1970.
    ///   - steadyMilliseconds: a clock that is never set; the age of segments is counted by it.
    ///   - isClockTrusted: whether the time since 1970 may decide what is old enough to be deleted.
    public init(
        root: String, boot: BootID, settings: Settings = Settings(), calls: JournalCalls = JournalCalls(),
        logger: Logger, nowMilliseconds: @escaping @Sendable () -> Int64 = JournalStore.wallClock,
        steadyMilliseconds: @escaping @Sendable () -> Int64 = JournalStore.steadyClock,
        isClockTrusted: @escaping @Sendable () -> Bool = { true }
    ) throws(JournalFileFailure) {
        self.settings = settings
        self.directory = try JournalDirectory.create(root: root, boot: boot, calls: calls)
        self.calls = calls
        self.logger = logger
        self.nowMilliseconds = nowMilliseconds
        self.steadyMilliseconds = steadyMilliseconds
        self.isClockTrusted = isClockTrusted
        var journal = Journal<MappedSegment>(
            boot: boot, limits: settings.limits, nowMilliseconds: nowMilliseconds(),
            steadyMilliseconds: steadyMilliseconds())
        do throws(JournalFileFailure) {
            for _ in 0..<2 {
                journal.add(
                    spare: try MappedSegment.create(
                        id: journal.nextSpareID, bytes: settings.segmentBytes, in: self.directory.path,
                        calls: calls))
            }
            journal.begin()
            try journal.synchronize(in: self.directory.path, calls)
        } catch {
            // Tried again every few seconds, it would fill the disk.
            try? self.directory.delete()
            throw error
        }
        self.state = Mutex(State(journal: journal))
        JournalThread.start { JournalSyncLoop(self).run() }
    }

    @Sendable public static func wallClock() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
    }

    /// CLOCK_MONOTONIC.
    @Sendable public static func steadyClock() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
    }

    public var boot: BootID { self.directory.boot }

    // MARK: An exchange

    /// Sets room aside for one exchange (rule J3). false: stop admitting.
    public func reserve() -> Bool {
        let admitted = self.state.withLock { $0.journal.reserve() }
        if !admitted { self.alarm.ring() }
        return admitted
    }

    public func giveBackReservation() { self.state.withLock { $0.journal.giveBackReservation() } }

    /// Before the first byte goes upstream. false: a sync error took the room; refuse, give the reservation back.
    public func open(_ opening: Settlement) -> Bool {
        let opening = EncodedSettlement(opening)
        let sequence = self.state.withLock { $0.journal.open(opening) }
        self.alarm.ring()
        return sequence != nil
    }

    public func progress(_ hold: HoldID, _ progress: JournalProgress) {
        let action = self.state.withLock { $0.journal.progress(hold, progress) }
        if action == .written { self.alarm.ring() }
    }

    /// The outcome of an exchange, in the page cache when this returns. nil: there is no room at all; post it
    /// without journal and withhold the last chunk until that is done (C10).
    public func end(_ settlement: Settlement, reserved: Bool) -> UInt64? {
        let outcome = EncodedSettlement(settlement)
        let sequence = self.state.withLock { $0.journal.end(outcome, reserved: reserved) }
        self.alarm.ring()
        return sequence
    }

    /// Calls back on the journal's thread when this record is on disk, in either mode. Never before; much later
    /// when a disk is broken and no other segment can be prepared.
    public func whenDurable(_ sequence: UInt64, _ completion: @escaping @Sendable () -> Void) {
        self.state.withLock { $0.waiters.append(Waiter(sequence: sequence, completion: completion)) }
        self.alarm.ring()
    }

    // MARK: The settler

    /// Every outcome up to `sequence` is in the ledger, and Redis answered POSTED (rule J5).
    public func acknowledge(through sequence: UInt64) {
        self.state.withLock { $0.journal.acknowledge(through: sequence) }
        self.alarm.ring()
    }

    /// All retained outcomes from this sequence on, as of now, for a new ledger generation; reading them happens
    /// outside the lock, and may wait for the disk.
    public func outcomes(from sequence: UInt64) -> JournalReading<MappedSegment> {
        self.state.withLock { $0.journal.outcomes(from: sequence) }
    }

    /// Everything up to here is posted.
    public var watermark: UInt64 { self.state.withLock { $0.journal.watermark } }

    // MARK: State

    /// Whether an exchange would be admitted; for `/api/ready`.
    public var isReady: Bool {
        self.state.withLock { $0.journal.hasRoomForExchange && !$0.journal.hasFailedSegment }
    }

    /// Whether outcomes of an ended boot may be copied here; if not, a segment is being prepared.
    var hasRoomForTakeOver: Bool {
        let hasRoom = self.state.withLock { $0.journal.hasRoomForTakeOver }
        if !hasRoom { self.alarm.ring() }
        return hasRoom
    }

    /// Segments that nothing was written to go at the end, and a journal in which nothing happened goes with them. On the
    /// journal's thread.
    func removeUnused() {
        let (spares, isEmpty) = self.state.withLock {
            ($0.journal.removeSpares(), $0.journal.isUnused)
        }
        do throws(JournalFileFailure) {
            if isEmpty { return try self.directory.delete() }
            // The last one first: a gap would look like a loss.
            for id in spares.reversed() { try self.directory.delete(segment: id) }
        } catch {
            self.logger.warning("unused journal segments not deleted", metadata: ["error": "\(error)"])
        }
    }

    /// Brings the rest to disk and ends the thread, then calls `ended` on it. Nothing may be written afterwards.
    public func stop(_ ended: @escaping @Sendable () -> Void) {
        self.state.withLock { $0.ended = ended }
        self.alarm.ring()
    }
}

extension JournalStore: MetricSource {
    public func samples() -> [MetricSample] {
        let (bytes, free, segments, waiting, skipped, lost) = self.state.withLock { state in
            let journal = state.journal
            return (
                journal.totalBytes, journal.usableBytes - journal.reservedBytes, journal.segmentCount,
                journal.unacknowledged, journal.progressSkipped, Int(clamping: journal.recordsLost)
            )
        }
        func sample(_ name: String, _ help: String, _ kind: MetricSample.Kind, _ count: Int) -> MetricSample {
            MetricSample(name, help: help, kind: kind, count: count)
        }
        let syncs = self.syncs.load(ordering: .relaxed)
        let syncFailures = self.syncFailures.load(ordering: .relaxed)
        let spareFailures = self.spareFailures.load(ordering: .relaxed)
        return [
            sample("journal_bytes", "Bytes of the journal on disk.", .gauge, bytes),
            sample("journal_free_bytes", "Prepared bytes that are not promised.", .gauge, free),
            sample("journal_segments", "Segment files.", .gauge, segments),
            sample("journal_unacknowledged", "Outcomes that are not known to be posted.", .gauge, waiting),
            sample("journal_syncs_total", "Syncs of a segment.", .counter, syncs),
            sample("journal_sync_failures_total", "Syncs that failed.", .counter, syncFailures),
            sample(
                "journal_spare_failures_total", "Segments that could not be prepared.", .counter,
                spareFailures),
            sample(
                "journal_progress_skipped_total", "PROGRESS not written for want of room.", .counter, skipped),
            sample(
                "journal_records_lost_total", "Records not readable after a failed sync.", .counter, lost),
        ]
    }
}

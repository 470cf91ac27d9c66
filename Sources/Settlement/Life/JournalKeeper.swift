import Glibc
import Logging
import Metering
import MoneyPath
import Synchronization

/// The journals of this host: takes over those of boots that ended (J1, J8), knows which of their requests went
/// upstream (F8), and posts what is retained again when the ledger has a new generation (P7, J6).
///
/// What was done is written down in each boot's directory, and every look begins with the disk: whatever was skipped,
/// failed or cut off is there to be done at the next one, by whoever comes first.
public final class JournalKeeper: Sendable {
    /// A boot whose outcomes are being copied into our journal.
    private struct TakeOver: Sendable {
        let ended: EndedBoot
        var handOver: JournalHandOver<MappedSegment>
    }

    let journal: JournalStore
    let scan: JournalRecoveryScan
    let settler: Settler
    let logger: Logger
    let boots = Mutex(HostBoots())
    /// Copied in part: their locks are kept.
    private let unfinished = Mutex<[TakeOver]>([])
    let moment: @Sendable () -> Moment
    /// For so long a take-over waits for a segment, which takes some milliseconds unless the disk is full.
    private let spareMillisecondsMax: Int
    /// Rung when something may have to be posted again.
    let replays: AsyncStream<Void>
    let wakeReplay: AsyncStream<Void>.Continuation
    private static let lookEvery: UInt64 = 30_000_000_000
    private static let lookAgainAfter: UInt64 = 1_000_000_000

    public convenience init(journal: JournalStore, root: String, settler: Settler, logger: Logger) {
        self.init(journal: journal, root: root, settler: settler, logger: logger, moment: { .now })
    }

    init(
        journal: JournalStore, root: String, settler: Settler, logger: Logger,
        moment: @escaping @Sendable () -> Moment, spareMillisecondsMax: Int = 2_000
    ) {
        self.journal = journal
        self.scan = JournalRecoveryScan(
            root: root, retentionMilliseconds: journal.settings.limits.retentionMilliseconds)
        self.settler = settler
        self.logger = logger
        self.moment = moment
        self.spareMillisecondsMax = spareMillisecondsMax
        (self.replays, self.wakeReplay) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: For heartbeat and sweep

    /// Boots of this host that are dead for certain.
    public var endedBoots: Set<BootID> { self.boots.withLock { $0.ended } }

    /// Whether what the boot left can be judged by its journal.
    public func isRecovered(_ boot: BootID) -> Bool { self.boots.withLock { $0.isRecovered(boot) } }

    /// Whether the journal of a recovered boot has this hold, and the ledger may not have it yet.
    public func isOpened(_ boot: BootID, _ hold: HoldID) -> Bool {
        self.boots.withLock { $0.isOpened(boot, hold) }
    }

    // MARK: Looking

    /// Before anything is admitted, and after the ledger was heard of: takes over what boots of this host left. Marked
    /// ones are not read.
    public func begin() async {
        await JournalThread.run { self.noteFirstGeneration() }
        await self.look()
    }

    /// Looks for ended boots until the task is cancelled: an instance beside this one may die.
    public func run() async {
        while !Task.isCancelled {
            let isBusy = self.unfinished.withLock { !$0.isEmpty }
            try? await Task.sleep(nanoseconds: isBusy ? Self.lookAgainAfter : Self.lookEvery)
            guard !Task.isCancelled else { return }
            await self.look()
        }
    }

    /// One look at the directories of this host; one at a time.
    func look() async {
        await JournalThread.run {
            self.clean()
            self.recover()
            self.list()
        }
        self.wakeReplay.yield()
    }

    private func clean() {
        let now = self.journal.isClockTrusted() ? self.journal.nowMilliseconds() : nil
        for failure in self.scan.clean(nowMilliseconds: now) {
            self.logger.warning("an old journal was not deleted", metadata: ["error": "\(failure)"])
        }
    }

    private func list() {
        do {
            let others = try self.scan.list().filter { $0.boot != self.journal.boot }
            self.boots.withLock { $0.found(others) }
        } catch {
            self.logger.error("journals of recovered boots not found", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Recovery

    private func recover() {
        guard self.goOn(self.unfinished.withLock { $0 }) else { return }
        let resting = self.boots.withLock { $0.resting(now: self.moment()) }
        do {
            self.take(try self.scan.scan(except: resting.union([self.journal.boot])))
        } catch {
            self.logger.error("journals of ended boots not read", metadata: ["error": "\(error)"])
        }
    }

    private func take(_ findings: JournalRecoveryScan.Findings) {
        for boot in findings.empty { self.boots.withLock { $0.empty(boot) } }
        for (boot, failure) in findings.refused { self.refused(boot, failure) }
        for ended in findings.ended { self.remember(ended) }
        _ = self.goOn(findings.ended.map { TakeOver(ended: $0, handOver: $0.handOver()) })
    }

    /// One after the other: two at once would share the room, and both stay unmarked for longer. false: some are left.
    private func goOn(_ takeOvers: [TakeOver]) -> Bool {
        var left = takeOvers
        defer { self.unfinished.withLock { [left] in $0 = left } }
        while !left.isEmpty {
            guard self.goOn(&left[0]) else { return false }
            left.removeFirst()
        }
        return true
    }

    func remember(_ ended: EndedBoot) {
        let reading = HostBoots.Reading(
            unposted: ended.recovered.unpostedHolds, isComplete: ended.recovered.isComplete)
        self.boots.withLock { $0.read(ended.boot, reading) }
        guard !ended.recovered.holes.isEmpty else { return }
        self.logger.warning(
            "a journal lost records that were never known to be on disk, as a power cut does",
            metadata: [
                "boot": "\(ended.boot)", "records": "\(ended.recovered.missingRecords)",
                "holes": "\(ended.recovered.holes.count)",
            ])
    }

    private func refused(_ boot: BootID, _ failure: EndedBootFailure) {
        self.boots.withLock { $0.failed(boot, now: self.moment()) }
        switch failure {
        case .damage(let damage):
            self.logger.critical(
                "a journal cannot be recovered; look at `tollgate journal`",
                metadata: ["boot": "\(boot)", "failure": "\(damage)"])
        case .file(let failure):
            self.logger.error(
                "a journal cannot be read; tried again",
                metadata: ["boot": "\(boot)", "failure": "\(failure)"])
        }
    }

    /// Copies what there is room for; false: the rest comes later, from there.
    private func goOn(_ takeOver: inout TakeOver) -> Bool {
        let boot = takeOver.ended.boot
        let action = takeOver.handOver.proceed { settlement in
            self.waitForRoom() ? self.settler.adopt(settlement) : nil
        }
        switch action {
        case .copied(let outcomes, let last):
            self.mark(takeOver.ended, through: last)
            self.logger.notice(
                "journal of an ended boot taken over",
                metadata: [
                    "boot": "\(boot)", "outcomes": "\(outcomes)",
                    "orphans": "\(takeOver.ended.recovered.orphans.count)",
                ])
            return true
        case .noRoom(let outcomes):
            self.logger.warning(
                "no room for the rest of the journal of an ended boot; it goes on when there is",
                metadata: ["boot": "\(boot)", "after": "\(outcomes)"])
            return false
        }
    }

    private func waitForRoom() -> Bool {
        for _ in 0..<self.spareMillisecondsMax {
            if self.journal.hasRoomForTakeOver { return true }
            usleep(1_000)
        }
        return self.journal.hasRoomForTakeOver
    }

    private func mark(_ ended: EndedBoot, through last: UInt64) {
        let boot = ended.boot
        ended.mark(whenDurable: last, in: self.journal) { failure in
            guard let failure else { return }
            self.boots.withLock { $0.failed(boot, now: self.moment()) }
            self.logger.error(
                "a recovered journal could not be marked; it is recovered again later",
                metadata: ["boot": "\(boot)", "failure": "\(failure)"])
        }
    }
}

import Glibc
import MoneyPath

/// What the journal's thread does: syncs, prepares segments, deletes old ones, and calls back whoever waited.
struct JournalSyncLoop {
    private let store: JournalStore
    private var spareRetryAt: Int64 = 0
    private var noteAt: Int64 = 0
    /// On the steady clock of the store.
    private var retireAt = Int64.min
    /// All segments up to this one are closed.
    private var restedThrough: UInt64 = 0

    private static let idleMilliseconds = 1_000
    private static let retireEveryMilliseconds: Int64 = 60_000
    /// What came to disk within so long of the end can be damaged without being told from a power cut.
    private static let noteEveryMilliseconds: Int64 = 1_000

    init(_ store: JournalStore) { self.store = store }

    consuming func run() {
        while true {
            // A wait that ends without a ring is a look at the clock: spares are tried again, old segments go.
            self.store.alarm.wait(milliseconds: Self.idleMilliseconds)
            if self.turn() { return }
            if self.store.settings.syncMode == .group {
                usleep(UInt32(clamping: self.store.settings.groupMilliseconds * 1_000))
            }
        }
    }

    /// Returns whether that was the last one.
    private mutating func turn() -> Bool {
        let (now, steady) = (self.store.nowMilliseconds(), self.store.steadyMilliseconds())
        let ended = self.store.state.withLock { state in
            state.journal.tick(nowMilliseconds: now, steadyMilliseconds: steady)
            return state.ended
        }
        self.synchronize()
        self.noteDurable()
        self.rest()
        self.prepareSpare()
        self.retire(steady)
        guard let ended else { return false }
        // Records that came in during the last sync; with the note, whatever is damaged later is known to be.
        self.synchronize()
        _ = self.store.state.withLock { $0.journal.noteDurable() }
        self.synchronize()
        self.store.removeUnused()
        ended()
        return true
    }

    // MARK: Sync

    /// Syncs up to the segment that is written to now; what comes meanwhile waits for the next turn.
    private func synchronize() {
        let current = self.store.state.withLock { $0.journal.currentSegmentID } ?? 0
        while let sync = self.store.state.withLock({ $0.journal.nextSync() }) {
            guard let file = sync.segment.descriptor else {
                preconditionFailure("finished() names no segment that is to be synced")
            }
            let code = self.store.calls.synchronize(file.number)
            if code == 0 { self.synced(sync) } else { self.failed(sync, code) }
            if sync.segment.id >= current { break }
        }
        self.callBack()
    }

    /// The note itself reaches the disk with the next records; until then the one before it counts.
    private mutating func noteDurable() {
        let now = self.store.steadyMilliseconds()
        guard now >= self.noteAt else { return }
        // After a rest the first news is noted at once.
        guard self.store.state.withLock({ $0.journal.noteDurable() }) else { return }
        self.noteAt = now + Self.noteEveryMilliseconds
    }

    private func synced(_ sync: JournalSync<MappedSegment>) {
        self.store.syncs.wrappingAdd(1, ordering: .relaxed)
        self.store.state.withLock { $0.journal.synced(sync) }
    }

    private func failed(_ sync: JournalSync<MappedSegment>, _ code: Int32) {
        self.store.syncFailures.wrappingAdd(1, ordering: .relaxed)
        let action = self.store.state.withLock { $0.journal.syncFailed(sync.segment.id) }
        self.store.logger.error(
            "journal segment not synced, its records are written again",
            metadata: ["segment": "\(sync.segment.id)", "errno": "\(code)", "action": "\(action)"])
        // The copies are in another segment, and wait for the disk as well.
        self.store.alarm.ring()
    }

    private func callBack() {
        let ready = self.store.state.withLock { state -> [JournalStore.Waiter] in
            guard !state.waiters.isEmpty else { return [] }
            let durable = state.journal.durableSequence
            let ready = state.waiters.filter { $0.sequence <= durable }
            if !ready.isEmpty { state.waiters.removeAll { $0.sequence <= durable } }
            return ready
        }
        for waiter in ready { waiter.completion() }
    }

    // MARK: Segments

    /// Three days of segments would be as many open files.
    private mutating func rest() {
        let finished = self.store.state.withLock { $0.journal.finished(after: self.restedThrough) }
        for segment in finished {
            segment.rest()
            self.restedThrough = segment.id
        }
    }

    private mutating func prepareSpare() {
        let wanted = self.store.state.withLock { $0.journal.wantsSpare ? $0.journal.nextSpareID : nil }
        guard let id = wanted, JournalStore.steadyClock() >= self.spareRetryAt else { return }
        do {
            let spare = try MappedSegment.create(
                id: id, bytes: self.store.settings.segmentBytes, in: self.store.directory.path,
                calls: self.store.calls)
            let more = self.store.state.withLock { state in
                state.journal.add(spare: spare)
                return state.journal.wantsSpare || state.journal.durableSequence < state.journal.lastSequence
            }
            if more { self.store.alarm.ring() }
        } catch {
            self.spareFailed(error)
        }
    }

    private mutating func spareFailed(_ failure: JournalFileFailure) {
        self.spareRetryAt = JournalStore.steadyClock() + Int64(self.store.settings.spareRetryMilliseconds)
        self.store.spareFailures.wrappingAdd(1, ordering: .relaxed)
        let isFirst = self.store.state.withLock { state in
            defer { state.journal.spareFailed() }
            return !state.journal.isSpareMissing
        }
        guard isFirst else { return }
        self.store.logger.error("journal segment not prepared", metadata: ["error": "\(failure)"])
    }

    /// Deletes oldest first and stops at the first that cannot be: a gap would look like a loss.
    private mutating func retire(_ steady: Int64) {
        guard steady >= self.retireAt else { return }
        self.retireAt = steady + Self.retireEveryMilliseconds
        let ids = self.store.state.withLock { $0.journal.retirable(steadyMilliseconds: steady) }
        for id in ids {
            do { try self.store.directory.delete(segment: id) } catch {
                self.store.logger.warning("journal segment not deleted", metadata: ["error": "\(error)"])
                return
            }
            self.store.state.withLock { $0.journal.retired(id) }
        }
    }
}

import Synchronization

/// What all sessions of a process know together about epochs: the newest generation of the ledger, and the
/// epoch that was seen last.
final class EpochWatch: Sendable {
    private let generation = Atomic<Int64>(0)
    private let lastEpoch = Mutex<String?>(nil)
    private let counters: RedisHoldCounters

    init(counters: RedisHoldCounters) { self.counters = counters }

    /// Highest generation of the ledger seen by this process; 0 before the first reading.
    @inline(__always)
    var ledgerGeneration: Int64 { self.generation.load(ordering: .acquiring) }

    /// A reading of the ledger carried this generation.
    func saw(generation: Int64) {
        self.generation.max(generation, ordering: .acquiringAndReleasing)
    }

    /// A node said something from which this epoch follows. The step from generation 0 to the first one known
    /// is no change.
    func saw(node: String) {
        let changed = self.lastEpoch.withLock { last in
            defer { last = node }
            return last != nil && last != node
        }
        if changed { self.counters.epochChanges.add(1) }
    }
}

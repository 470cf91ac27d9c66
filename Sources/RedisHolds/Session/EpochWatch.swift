import Metering
import MoneyPath
import Synchronization

/// What all sessions of a process know together about epochs: the newest generation of the ledger, and the gate of
/// rule E2. The poster performs what the gate asks for; it is woken when there is something.
final class EpochWatch: Sendable {
    private let generation = Atomic<Int64>(0)
    private let gate: Mutex<EpochGate>
    private let pending = Mutex<(actions: [EpochGate.Action], wake: (@Sendable () -> Void)?)>(([], nil))
    private let counters: RedisHoldCounters

    init(boot: BootID, counters: RedisHoldCounters) {
        self.gate = Mutex(EpochGate(boot: boot))
        self.counters = counters
    }

    /// Highest generation of the ledger seen by this process; 0 before the first reading.
    @inline(__always)
    var ledgerGeneration: Int64 { self.generation.load(ordering: .acquiring) }

    /// A reading of the ledger carried this generation.
    func saw(generation: Int64) {
        self.generation.max(generation, ordering: .acquiringAndReleasing)
    }

    func add(session: Int) { self.gate.withLock { $0.add(session: session) } }

    func saw(_ epoch: String, session: Int) { self.advance { $0.saw(epoch, session: session, now: .now) } }
    func joined(_ epoch: String, session: Int) {
        self.advance { $0.joined(epoch, session: session, now: .now) }
    }
    func recaptured(_ epoch: String) { self.advance { $0.recaptured(epoch, now: .now) } }
    func members(_ epoch: String, _ boots: Set<BootID>) {
        self.advance { $0.members(epoch, boots, now: .now) }
    }
    func live(_ peers: Set<BootID>) { self.gate.withLock { $0.live(peers) } }
    func tick() { self.advance { $0.tick(now: .now) } }

    /// The epoch under which this process admits.
    var openEpoch: String? { self.gate.withLock { $0.openEpoch } }
    var isOpen: Bool { self.gate.withLock { $0.isOpen } }

    /// Whoever performs the actions: called, on any thread, when there are some.
    func whenActionsCome(_ wake: @escaping @Sendable () -> Void) {
        self.pending.withLock { $0.wake = wake }
        wake()
    }

    func takeActions() -> [EpochGate.Action] {
        self.pending.withLock { pending in
            defer { pending.actions = [] }
            return pending.actions
        }
    }

    private func advance(_ event: (inout EpochGate) -> [EpochGate.Action]) {
        let (actions, changes) = self.gate.withLock { gate in (event(&gate), gate.changes) }
        self.counters.epochChanges.store(changes, ordering: .relaxed)
        guard !actions.isEmpty else { return }
        let wake = self.pending.withLock { pending in
            pending.actions += actions
            return pending.wake
        }
        wake?()
    }
}

import Metering
import MoneyPath
import Synchronization

/// The sessions of a process, as the epoch gate sees them. Called on any thread.
protocol EpochFollowers: Sendable {
    /// Look at your node: it may be under another epoch.
    func checkEpoch()
    /// `EpochWatch.admittedEpoch` is news.
    func gateOpened()
}

/// What all sessions of a process know together about epochs: the newest generation of the ledger, and the gate of
/// rule E2.
///
/// What the gate asks of the sessions they get at once, whatever the poster's connection does. The rest is the
/// poster's: it is woken when there is something.
final class EpochWatch: Sendable {
    private struct State {
        var gate: EpochGate
        var forPoster: [EpochGate.Action] = []
        var wake: (@Sendable () -> Void)?
        var followers: (any EpochFollowers)?
    }

    /// What is done outside of the lock.
    private struct Calls {
        var mustCheck = false
        var hasOpened = false
        var followers: (any EpochFollowers)?
        var wake: (@Sendable () -> Void)?
    }

    private let generation = Atomic<Int64>(0)
    private let state: Mutex<State>
    private let counters: RedisHoldCounters

    init(boot: BootID, counters: RedisHoldCounters) {
        self.state = Mutex(State(gate: EpochGate(boot: boot)))
        self.counters = counters
    }

    /// Highest generation of the ledger seen by this process; 0 before the first reading.
    @inline(__always)
    var ledgerGeneration: Int64 { self.generation.load(ordering: .acquiring) }

    /// A reading of the ledger carried this generation.
    func saw(generation: Int64) {
        self.generation.max(generation, ordering: .acquiringAndReleasing)
    }

    func add(session: Int) { self.state.withLock { $0.gate.add(session: session) } }

    func saw(_ epoch: String, session: Int) { self.advance { $0.saw(epoch, session: session, now: .now) } }
    func joined(_ epoch: String, session: Int) {
        self.advance { $0.joined(epoch, session: session, now: .now) }
    }
    func recaptured(_ epoch: String) { self.advance { $0.recaptured(epoch, now: .now) } }
    func members(_ epoch: String, _ boots: Set<BootID>) {
        self.advance { $0.members(epoch, boots, now: .now) }
    }
    func live(_ peers: Set<BootID>) { self.state.withLock { $0.gate.live(peers) } }
    func tick() { self.advance { $0.tick(now: .now) } }

    /// The epoch under which this process admits; nil while the gate is shut.
    var admittedEpoch: String? {
        self.state.withLock { $0.gate.isOpen ? $0.gate.openEpoch : nil }
    }

    /// Before anything is seen: whom the gate opens for.
    func follow(_ followers: any EpochFollowers) { self.state.withLock { $0.followers = followers } }

    /// Whoever performs the other actions: called, on any thread, when there are some.
    func whenActionsCome(_ wake: @escaping @Sendable () -> Void) {
        self.state.withLock { $0.wake = wake }
        wake()
    }

    func takeActions() -> [EpochGate.Action] {
        self.state.withLock { state in
            defer { state.forPoster = [] }
            return state.forPoster
        }
    }

    private func advance(_ event: (inout EpochGate) -> [EpochGate.Action]) {
        // One lock for the gate and for what it asked, so that two threads cannot swap their actions.
        let calls = self.state.withLock { state in
            let calls = Self.sort(event(&state.gate), &state)
            self.counters.epochChanges.store(state.gate.changes, ordering: .relaxed)
            return calls
        }
        if calls.mustCheck { calls.followers?.checkEpoch() }
        if calls.hasOpened { calls.followers?.gateOpened() }
        calls.wake?()
    }

    private static func sort(_ actions: [EpochGate.Action], _ state: inout State) -> Calls {
        var calls = Calls(followers: state.followers)
        for action in actions {
            switch action {
            case .checkSessions: calls.mustCheck = true
            case .open: calls.hasOpened = true
            case .recapture, .announce, .ask:
                // Without a connection the same would be asked again and again.
                state.forPoster.removeAll { $0 == action }
                state.forPoster.append(action)
                calls.wake = state.wake
            }
        }
        return calls
    }
}

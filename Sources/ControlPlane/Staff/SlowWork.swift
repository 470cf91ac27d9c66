import Foundation
import Synchronization

/// Threads for work that takes long and much memory; whoever comes when too many are there already is sent away. They
/// run after everything else that wants a core: who is streamed to does not wait for who signs in.
final class SlowWork: Sendable {
    struct Busy: Error {}

    /// Hashing passwords: 2 × 128 MiB at most, whoever tries to sign in.
    static let passwords = SlowWork(threads: 2, waitingMax: 16)

    private let threads: Int
    private let placesMax: Int

    private struct State {
        /// Who entered and has not left.
        var places = 0
        var running = 0
        var waiting: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())

    init(threads: Int, waitingMax: Int) {
        self.threads = threads
        self.placesMax = threads + waitingMax
    }

    /// A right to have something run.
    struct Place: Sendable {
        fileprivate let work: SlowWork

        /// Once a thread is free.
        func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
            await withCheckedContinuation { continuation in
                self.work.add { continuation.resume(returning: body()) }
            }
        }

        /// Exactly once, and nothing is run after it.
        func leave() { self.work.state.withLock { $0.places -= 1 } }
    }

    /// - Throws: `Busy`.
    func enter() throws(Busy) -> Place {
        let isFull = self.state.withLock { state in
            guard state.places < self.placesMax else { return true }
            state.places += 1
            return false
        }
        if isFull { throw Busy() }
        return Place(work: self)
    }

    private func add(_ work: @escaping @Sendable () -> Void) {
        let startsThread = self.state.withLock { state in
            guard state.running < self.threads else {
                state.waiting.append(work)
                return false
            }
            state.running += 1
            return true
        }
        if startsThread { Thread.detachNewThread { self.work(through: work) } }
    }

    /// What one thread does: the first, and then whatever waits.
    private func work(through first: @escaping @Sendable () -> Void) {
        // Of a thread, and not of the process: Linux keeps it for each. What fails costs nobody but the others a little.
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Self.niceness)
        var next: (@Sendable () -> Void)? = first
        while let work = next {
            work()
            next = self.state.withLock { state in
                guard !state.waiting.isEmpty else {
                    state.running -= 1
                    return nil
                }
                return state.waiting.removeFirst()
            }
        }
    }

    private static let niceness: Int32 = 10
}

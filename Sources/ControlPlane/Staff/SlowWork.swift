import Foundation
import Synchronization

/// Threads for work that takes long and much memory; whoever comes when too many wait already is sent away.
final class SlowWork: Sendable {
    struct Busy: Error {}

    /// Hashing passwords: 2 × 128 MiB at most, whoever tries to sign in.
    static let passwords = SlowWork(threads: 2, waitingMax: 16)

    private let threads: Int
    private let waitingMax: Int

    private struct State {
        var running = 0
        var waiting: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())

    init(threads: Int, waitingMax: Int) {
        self.threads = threads
        self.waitingMax = waitingMax
    }

    /// - Throws: `Busy`.
    func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            self.add(
                { continuation.resume(returning: body()) }, else: { continuation.resume(throwing: Busy()) })
        }
    }

    private enum Place { case start, wait, full }

    private func add(_ work: @escaping @Sendable () -> Void, else refuse: () -> Void) {
        let place = self.state.withLock { state -> Place in
            if state.running < self.threads {
                state.running += 1
                return .start
            }
            guard state.waiting.count < self.waitingMax else { return .full }
            state.waiting.append(work)
            return .wait
        }
        switch place {
        case .start: Thread.detachNewThread { self.work(through: work) }
        case .wait: break
        case .full: refuse()
        }
    }

    /// What one thread does: the first, and then whatever waits.
    private func work(through first: @escaping @Sendable () -> Void) {
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
}

import NIOCore
import Synchronization

/// Withholds replies until they are released all at once: makes requests truly simultaneous.
final class Barrier: Sendable {
    private struct State {
        var holding = false
        var lastTicket = 0
        var waiters: [Int: EventLoopPromise<Void>] = [:]
    }

    private let mayHold = Atomic<Bool>(false)
    private let state = Mutex(State())

    var waiting: Int { state.withLock { $0.waiters.count } }

    /// Nil: go on at once. Otherwise a ticket, and a future that succeeds at the release.
    func enter(on loop: any EventLoop) -> (ticket: Int, released: EventLoopFuture<Void>)? {
        guard mayHold.load(ordering: .acquiring) else { return nil }
        return state.withLock { state in
            guard state.holding else { return nil }
            state.lastTicket += 1
            let promise = loop.makePromise(of: Void.self)
            state.waiters[state.lastTicket] = promise
            return (state.lastTicket, promise.futureResult)
        }
    }

    /// The peer of that ticket went away.
    func abandon(_ ticket: Int) {
        let promise = state.withLock { $0.waiters.removeValue(forKey: ticket) }
        promise?.fail(CancellationError())
    }

    func hold() {
        state.withLock { $0.holding = true }
        mayHold.store(true, ordering: .releasing)
    }

    func release() {
        mayHold.store(false, ordering: .releasing)
        let waiters = state.withLock { state in
            state.holding = false
            defer { state.waiters = [:] }
            return state.waiters
        }
        for ticket in waiters.keys.sorted() { waiters[ticket]?.succeed() }
    }
}

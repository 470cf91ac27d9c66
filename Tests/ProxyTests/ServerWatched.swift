import NIOCore
import NIOPosix
import Synchronization

/// A value that others change and a test waits on: woken by the change itself, not by a guess at how long it
/// takes.
final class Watched<State: Sendable>: Sendable {
    private struct Waiter {
        let condition: @Sendable (State) -> Bool
        let resume: CheckedContinuation<Bool, Never>
        let timer: Scheduled<Void>
    }

    private struct Box {
        var state: State
        var waiters: [Int: Waiter] = [:]
        var nextID = 0
    }

    /// Nothing that happens at all takes this long, on the busiest machine.
    static var patience: TimeAmount { .seconds(40) }

    private let box: Mutex<Box>

    init(_ state: State) { self.box = Mutex(Box(state: state)) }

    var state: State { self.box.withLock { $0.state } }

    /// Changes the value and wakes whoever waited for that.
    @discardableResult
    func update<Result: Sendable>(_ body: @Sendable (inout State) -> Result) -> Result {
        let (result, met) = self.box.withLock { box -> (Result, [Waiter]) in
            let result = body(&box.state)
            let met = box.waiters.filter { $0.value.condition(box.state) }
            for id in met.keys { box.waiters[id] = nil }
            return (result, Array(met.values))
        }
        for waiter in met {
            waiter.timer.cancel()
            waiter.resume.resume(returning: true)
        }
        return result
    }

    /// Returns whether `condition` became true within `limit`.
    func until(
        within limit: TimeAmount = Watched.patience, _ condition: @escaping @Sendable (State) -> Bool
    ) async -> Bool {
        await withCheckedContinuation { continuation in
            let isMet = self.box.withLock { box in
                if condition(box.state) { return true }
                let id = box.nextID
                box.nextID += 1
                let timer = MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: limit) {
                    self.expire(id)
                }
                box.waiters[id] = Waiter(condition: condition, resume: continuation, timer: timer)
                return false
            }
            if isMet { continuation.resume(returning: true) }
        }
    }

    private func expire(_ id: Int) {
        self.box.withLock { $0.waiters.removeValue(forKey: id) }?.resume.resume(returning: false)
    }
}

/// What a test waited for and did not get.
struct NeverHappened: Error, CustomStringConvertible {
    let description: String
    init(_ what: String) { self.description = "never happened: \(what)" }
}

/// Lets so many in at a time. With hundreds of servers at once, and a thread for each, none would keep time.
final class Turnstile: Sendable {
    private struct Turns {
        var free: Int
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let turns: Mutex<Turns>

    init(_ count: Int) { self.turns = Mutex(Turns(free: count)) }

    func enter() async {
        await withCheckedContinuation { continuation in
            let isFree = self.turns.withLock { turns in
                if turns.free > 0 {
                    turns.free -= 1
                    return true
                }
                turns.waiting.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    func leave() {
        let next = self.turns.withLock { turns -> CheckedContinuation<Void, Never>? in
            guard !turns.waiting.isEmpty else {
                turns.free += 1
                return nil
            }
            return turns.waiting.removeFirst()
        }
        next?.resume()
    }
}

import Dispatch
import Foundation
import Synchronization

/// The thread that starts all children. `PR_SET_PDEATHSIG` strikes when the *thread* that forked ends, so it must be
/// one that lives as long as the process: threads of a pool come and go.
final class SpawnThread: Sendable {
    static let shared = SpawnThread()

    private let jobs = Mutex<[@Sendable () -> Void]>([])
    private let waiting = DispatchSemaphore(value: 0)

    private init() {
        let thread = Thread { [self] in
            while true {
                self.waiting.wait()
                let job = self.jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }
                job?()
            }
        }
        thread.name = "spawn"
        thread.start()
    }

    /// Runs `body` there and returns what it returns.
    func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) -> Value {
        let box = ResultBox<Value>()
        let done = DispatchSemaphore(value: 0)
        self.jobs.withLock { jobs in
            jobs.append {
                box.set(body())
                done.signal()
            }
        }
        self.waiting.signal()
        done.wait()
        return box.take()
    }

    private final class ResultBox<Value: Sendable>: Sendable {
        private let value = Mutex<Value?>(nil)

        func set(_ value: Value) { self.value.withLock { $0 = value } }

        func take() -> Value {
            guard let value = self.value.withLock({ $0 }) else {
                preconditionFailure("run() sets it before it signals")
            }
            return value
        }
    }
}

import Dispatch
import Foundation
import Synchronization

/// Blocking work on a few threads of its own.
enum SideBySide {
    private struct State<Output: Sendable>: Sendable {
        var next = 0
        var done = 0
        var outputs: [Output?]
        var failure: StackError?
    }

    /// Calls `body` for every input, with a kept connection for each thread. The first failure ends it.
    ///
    /// - Parameter progress: told on the caller's thread how many are done, a few times a second.
    static func map<Input: Sendable, Output: Sendable>(
        _ inputs: [Input], port: Int, threads: Int, progress: (Int) -> Void,
        _ body: @escaping @Sendable (ControlCall, Input) throws(StackError) -> Output
    ) throws(StackError) -> [Output] {
        let state = Shared(State<Output>(outputs: Array(repeating: nil, count: inputs.count)))
        let ended = DispatchGroup()
        for _ in 0..<min(threads, inputs.count) {
            ended.enter()
            Thread.detachNewThread {
                let call = ControlCall(port: port)
                while let index = state.value.withLock({ Self.take(&$0, of: inputs.count) }) {
                    let result = Result { () throws(StackError) in try body(call, inputs[index]) }
                    state.value.withLock { Self.put(result, at: index, in: &$0) }
                }
                ended.leave()
            }
        }
        while ended.wait(timeout: .now() + .milliseconds(200)) == .timedOut {
            progress(state.value.withLock { $0.done })
        }
        let last = state.value.withLock { $0 }
        if let failure = last.failure { throw failure }
        progress(last.done)
        return last.outputs.compactMap { $0 }
    }

    private static func take<Output>(_ state: inout State<Output>, of count: Int) -> Int? {
        guard state.failure == nil, state.next < count else { return nil }
        defer { state.next += 1 }
        return state.next
    }

    private static func put<Output>(
        _ result: Result<Output, StackError>, at index: Int, in state: inout State<Output>
    ) {
        switch result {
        case .success(let output):
            state.outputs[index] = output
            state.done += 1
        case .failure(let failure): state.failure = state.failure ?? failure
        }
    }

    private final class Shared<Value: Sendable>: Sendable {
        let value: Mutex<Value>

        init(_ value: Value) { self.value = Mutex(value) }
    }
}

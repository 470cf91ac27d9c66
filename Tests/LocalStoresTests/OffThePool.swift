import Foundation
import Testing

/// Starting and stopping servers blocks. All test targets share one pool with a thread per core: these tests run on
/// two threads of their own, so that the others' tasks go on meanwhile.
struct OffThePool: SuiteTrait, TestTrait, TestScoping {
    let isRecursive = true

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        // Once for a test, not again for the suite around it: that one would wait for its own tests.
        guard testCase != nil else { return try await function() }
        try await withTaskExecutorPreference(BlockingExecutor.shared) { try await function() }
    }
}

extension Trait where Self == OffThePool {
    static var offThePool: Self { OffThePool() }
}

/// Runs jobs on at most two threads.
private final class BlockingExecutor: TaskExecutor {
    static let shared = BlockingExecutor()
    private let queue = OperationQueue()

    private init() { self.queue.maxConcurrentOperationCount = 2 }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.queue.addOperation { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

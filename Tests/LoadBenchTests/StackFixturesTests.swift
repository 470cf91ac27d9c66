import Foundation
import Glibc

@testable import LoadBench

enum StackFixtures {
    static let checkout = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// Where the debug build of this checkout puts its programs, unless the environment says otherwise.
    static var programs: String {
        ProcessInfo.processInfo.environment["TOLLGATE_BIN"] ?? self.checkout + "/.build/debug"
    }

    static var hasPrograms: Bool {
        ["tollgate", "mock-openai"].allSatisfy { access("\(self.programs)/\($0)", X_OK) == 0 }
    }

    /// A directory that goes when `body` ends.
    static func withDirectory<Value>(_ body: (String) throws -> Value) throws -> Value {
        let directory = try StackFiles.makeDirectory(below: "/tmp", prefix: "tollgate-bench-test-")
        defer { try? FileManager.default.removeItem(atPath: directory) }
        return try body(directory)
    }

    /// Runs what blocks on a thread of its own: the pool has one for each core, and other tests wait for them.
    static func offThePool<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result(catching: body)) }
        }
    }
}

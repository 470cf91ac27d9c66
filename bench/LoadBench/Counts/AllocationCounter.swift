import Foundation
import Glibc

/// Counts allocations of a program that is started with its environment (bench/counts/allocations.c).
public struct AllocationCounter: Sendable {
    private let library: String
    private let file: String

    /// Three words for each thread: id, allocations, bytes.
    private static let slotWords = 3

    /// Compiles the library into `directory`.
    ///
    /// - Throws: `missing` without a C compiler, or what it says.
    public init(checkout: String, directory: String) throws(StackError) {
        self.library = directory + "/allocations.so"
        self.file = directory + "/allocations.counts"
        let compiler = try ProgramPath.require("cc", hint: "apt-get install gcc")
        let source = checkout + "/bench/counts/allocations.c"
        try ToolRun.run([compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", self.library, source]).checked()
    }

    /// What the program is started with.
    public var environment: [String: String] { ["LD_PRELOAD": self.library, "ALLOCATION_COUNTS": self.file] }

    /// Allocations of these threads so far.
    public func allocations(of threads: Set<Int32>) throws(StackError) -> Int64 {
        guard let data = FileManager.default.contents(atPath: self.file) else {
            throw .file(path: self.file, reason: "the program does not write its counts")
        }
        let words = data.withUnsafeBytes { Array($0.bindMemory(to: Int64.self)) }
        var sum: Int64 = 0
        for slot in stride(from: Self.slotWords, to: words.count - 2, by: Self.slotWords)
        where threads.contains(Int32(truncatingIfNeeded: words[slot])) {
            sum += words[slot + 1]
        }
        return sum
    }
}

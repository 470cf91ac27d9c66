import Foundation
import Glibc

/// Counts system calls of some threads between its start and its end, by strace; they are slow meanwhile.
public final class SyscallCounter {
    private let tracer: ChildProgram
    private let table: String

    private static let attachSeconds = 20.0

    /// Returns when the threads are watched.
    ///
    /// - Throws: `missing`, or what strace says when it may not (it takes root, or kernel.yama.ptrace_scope=0).
    public init(of threads: Set<Int32>, directory: String) throws(StackError) {
        let strace = try ProgramPath.require("strace", hint: "apt-get install strace")
        let table = directory + "/syscalls-\(threads.min() ?? 0)"
        self.table = table
        self.tracer = try ChildProgram(
            name: "strace", [strace, "-c", "-o", table] + threads.sorted().flatMap { ["-p", String($0)] },
            logPath: directory + "/strace.log")
        try self.tracer.wait(Self.attachSeconds) { threads.allSatisfy { Self.isTraced($0) } }
    }

    private static func isTraced(_ thread: Int32) -> Bool {
        let status = ProcFiles.read("/proc/\(thread)/status") ?? ""
        return status.split(separator: "\n").contains { $0.hasPrefix("TracerPid:") && !$0.hasSuffix("\t0") }
    }

    /// Lets go of the threads.
    ///
    /// - Returns: calls by name.
    public func finish() throws(StackError) -> [String: Int64] {
        self.tracer.signal(SIGINT)
        guard Patience.wait(Self.attachSeconds, { !self.tracer.isRunning }) else {
            throw .didNotStop(program: "strace", seconds: Self.attachSeconds, tail: self.tracer.tail)
        }
        guard let text = try? String(contentsOfFile: self.table, encoding: .utf8) else {
            throw .failed(program: "strace", status: self.tracer.status ?? 0, tail: self.tracer.tail)
        }
        let calls = Self.calls(in: text)
        guard !calls.isEmpty else {
            throw .failed(
                program: "strace", status: self.tracer.status ?? 0,
                tail: "counted nothing\n" + self.tracer.tail)
        }
        return calls
    }

    /// Of the table that `strace -c` writes: share, seconds, µs a call, calls, errors if there were any, name.
    static func calls(in table: String) -> [String: Int64] {
        var calls: [String: Int64] = [:]
        for line in table.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count >= 5, let name = words.last, name != "total", Double(words[0]) != nil,
                let count = Int64(words[3])
            else { continue }
            calls[String(name), default: 0] += count
        }
        return calls
    }
}

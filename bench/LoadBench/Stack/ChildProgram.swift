import Foundation
import Glibc
import Synchronization

/// One program that we started and must end. It is signalled by id, and only while it is not reaped, so that its id
/// cannot be another process's by then. When the harness is killed, it gets SIGTERM (see `ChildSpawn`).
public final class ChildProgram: Sendable {
    public let name: String
    public let pid: Int32
    public let logPath: String
    /// nil while it runs; then as a shell tells it.
    private let ended = Mutex<Int32?>(nil)

    /// Starts `arguments` with its output appended to `logPath`.
    ///
    /// - Parameters:
    ///   - prefix: `CoreLayout.startPrefix`, so that it is pinned from its first instruction.
    ///   - environment: all of it, but for PATH and the like.
    ///   - directory: where it works.
    public init(
        name: String, _ arguments: [String], prefix: [String] = [], environment: [String: String] = [:],
        directory: String = "/", logPath: String
    ) throws(StackError) {
        self.name = name
        self.logPath = logPath
        let log = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard log >= 0 else { throw .file(path: logPath, reason: String(cString: strerror(errno))) }
        defer { close(log) }
        self.pid = try ChildSpawn.start(
            arguments, prefix: prefix,
            environment: ChildSpawn.baseEnvironment.merging(environment) { $1 }, directory: directory,
            output: log, errors: log)
    }

    deinit { if self.isRunning { try? self.stop(seconds: 5) } }

    public var isRunning: Bool { self.status == nil }

    /// How it ended, 128 + n by signal n; nil while it runs.
    public var status: Int32? {
        self.ended.withLock { ended in
            if ended == nil { ended = WaitStatus.ofEnded(self.pid) }
            return ended
        }
    }

    public func signal(_ number: Int32) {
        // Asked and signalled under one lock: nobody can reap it in between.
        self.ended.withLock { ended in
            if ended == nil { ended = WaitStatus.ofEnded(self.pid) }
            if ended == nil { _ = kill(self.pid, number) }
        }
    }

    /// SIGTERM, and SIGKILL after `seconds`, which is an error. Does nothing when it has ended.
    public func stop(seconds: Double = 30) throws(StackError) {
        self.signal(SIGTERM)
        if Patience.wait(seconds, { !self.isRunning }) { return }
        self.signal(SIGKILL)
        _ = Patience.wait(5) { !self.isRunning }
        throw .didNotStop(program: self.name, seconds: seconds, tail: self.tail)
    }

    /// - Throws: `endedEarly` with what it wrote last, when it does not run any more.
    public func checkRunning() throws(StackError) {
        guard let status = self.status else { return }
        throw .endedEarly(program: self.name, status: status, tail: self.tail)
    }

    /// Returns when somebody accepts connections on `port`.
    public func waitUntilListening(_ port: Int, seconds: Double) throws(StackError) {
        try self.wait(seconds) { LoopbackPort.isListening(port) }
    }

    /// Returns when `condition` is true; throws when the program ends before, or the time is over.
    public func wait(_ seconds: Double, until condition: () -> Bool) throws(StackError) {
        var isMet = false
        _ = Patience.wait(seconds) {
            isMet = condition()
            return isMet || !self.isRunning
        }
        try self.checkRunning()
        guard isMet else { throw .notReady(program: self.name, seconds: seconds, tail: self.tail) }
    }

    /// The last lines that it wrote.
    public var tail: String { LogTail.of(self.logPath) }
}

enum WaitStatus {
    /// Reaps `pid` when it has ended and says how; nil when it runs.
    static func ofEnded(_ pid: pid_t) -> Int32? {
        var status: Int32 = 0
        let result = waitpid(pid, &status, WNOHANG)
        if result == pid { return self.code(status) }
        // Nobody else reaps it; if somebody did, it has ended, and how is not known.
        return result < 0 && errno == ECHILD ? 255 : nil
    }

    /// From what `waitpid` says, whose macros are not importable.
    static func code(_ status: Int32) -> Int32 {
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }
}

enum LogTail {
    static let lines = 12

    static func of(_ path: String) -> String {
        guard let file = FileHandle(forReadingAtPath: path), let end = try? file.seekToEnd() else {
            return ""
        }
        defer { try? file.close() }
        try? file.seek(toOffset: end > 4096 ? end - 4096 : 0)
        guard let data = try? file.readToEnd() else { return "" }
        return self.of(text: String(decoding: data, as: UTF8.self))
    }

    static func of(text: String) -> String {
        text.split(separator: "\n").suffix(Self.lines).joined(separator: "\n")
    }
}

enum Patience {
    /// Asks every 10 ms until `condition`; false when the time is over.
    static func wait(_ seconds: Double, _ condition: () -> Bool) -> Bool {
        let end = ContinuousClock.now + .seconds(seconds)
        while !condition() {
            if ContinuousClock.now > end { return false }
            usleep(10_000)
        }
        return true
    }
}

import Foundation
import Synchronization

/// One server that we started and must end. Its pid is signalled only while it is not reaped, so it cannot be
/// another process's by then.
final class ChildProcess: Sendable {
    let program: String
    let pid: pid_t
    private let logPath: String
    private let ended = Mutex(false)

    /// Starts `arguments` with output in a fresh `logPath`; the log of the run before is kept as `logPath.old`.
    ///
    /// - Parameter user: run as this user; only root can.
    init(
        program: String, _ arguments: [String], user: UnprivilegedUser? = nil, logPath: String,
        directory: String
    ) throws {
        self.program = program
        self.logPath = logPath
        rename(logPath, logPath + ".old")
        let log = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard log >= 0 else { throw LocalStoresError.system(program, "cannot write \(logPath)") }
        defer { close(log) }
        self.pid = try Spawn.start((user?.prefix ?? []) + arguments, output: log, directory: directory)
    }

    var isRunning: Bool {
        self.ended.withLock { ended in
            if ended { return false }
            var status: Int32 = 0
            let result = waitpid(self.pid, &status, WNOHANG)
            ended = result == self.pid || (result < 0 && errno != EINTR)
            return !ended
        }
    }

    func send(_ signal: Int32) {
        self.ended.withLock { ended in
            if !ended { _ = kill(self.pid, signal) }
        }
    }

    /// Sends `signal` and waits; what does not go is killed, and that is an error. Does nothing when it has ended.
    func stop(_ signal: Int32, seconds: Double = 30) throws {
        self.send(signal)
        if waitFor(seconds, { !self.isRunning }) { return }
        self.send(SIGKILL)
        _ = waitFor(5) { !self.isRunning }
        throw LocalStoresError(
            program: self.program, step: "did not stop within \(Int(seconds)) s and was killed",
            tail: self.tail)
    }

    /// The last lines that the program wrote.
    var tail: String {
        guard let file = FileHandle(forReadingAtPath: self.logPath), let end = try? file.seekToEnd() else {
            return ""
        }
        try? file.seek(toOffset: end > 4096 ? end - 4096 : 0)
        guard let data = try? file.readToEnd() else { return "" }
        return String(decoding: data, as: UTF8.self).split(separator: "\n").suffix(12).joined(separator: "\n")
    }
}

/// Polls until `condition`; false when the time is over.
func waitFor(_ seconds: Double, _ condition: () -> Bool) -> Bool {
    let end = ContinuousClock.now + .seconds(seconds)
    while !condition() {
        if ContinuousClock.now > end { return false }
        usleep(10_000)
    }
    return true
}

/// Servers that a killed run left behind.
enum Leftovers {
    /// Ends every process called one of `programs` that works in `directory`: both are asked again before each
    /// signal, so a pid that was given to somebody else is never hit. The caller holds the directory's lock, so
    /// nobody starts new ones meanwhile.
    ///
    /// - Parameter signals: in order of politeness; the next is used after 15 s.
    static func end(_ programs: Set<String>, directory: String, signals: [Int32]) throws {
        guard let real = self.realPath(directory) else { return }
        for signal in signals + [SIGKILL] {
            let pids = self.pids(programs, real)
            if pids.isEmpty { return }
            for pid in pids where self.works(pid, programs, real) { kill(pid, signal) }
            if waitFor(15, { self.pids(programs, real).isEmpty }) { return }
        }
        throw LocalStoresError(
            program: programs.sorted()[0],
            step: "a process of an earlier run in \(directory) cannot be ended", tail: "")
    }

    static func pids(_ programs: Set<String>, _ real: String) -> [pid_t] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.filter { self.works($0, programs, real) }
    }

    private static func works(_ pid: pid_t, _ programs: Set<String>, _ real: String) -> Bool {
        guard (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")) == real,
            let name = FileManager.default.contents(atPath: "/proc/\(pid)/comm")
        else { return false }
        return programs.contains(String(decoding: name, as: UTF8.self).trimmingCharacters(in: .newlines))
    }

    static func realPath(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }
}

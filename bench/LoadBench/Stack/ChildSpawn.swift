import Foundation
import Glibc

/// Starts programs with nothing of ours in them: no descriptor, no environment, no ignored or blocked signal.
enum ChildSpawn {
    /// PATH and what a program needs to find its libraries. What else stands in our environment may be secret, or
    /// change what is measured.
    static var baseEnvironment: [String: String] {
        let ours = ProcessInfo.processInfo.environment
        var environment = ["LC_ALL": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"]
        for name in ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"] {
            if let value = ours[name] { environment[name] = value }
        }
        return environment
    }

    /// Starts `arguments[0]` (a path, or found in PATH) in `directory`, with SIGTERM as the signal that it gets when we
    /// are killed: a stack then stops in order, its own children included. A kill between the fork and setpriv's
    /// call is not noticed; that is a millisecond.
    ///
    /// - Parameter prefix: becomes the program after it has set up the process, as `taskset` does: the pid stays.
    static func start(
        _ arguments: [String], prefix: [String], environment: [String: String], directory: String,
        output: Int32, errors: Int32
    ) throws(StackError) -> pid_t {
        let line =
            ["env", "--chdir=\(directory)"] + prefix + ["setpriv", "--pdeathsig", "TERM", "--"] + arguments
        let result = SpawnThread.shared.run {
            var pid: pid_t = 0
            let code = self.spawn(&pid, line, environment, output: output, errors: errors)
            return (pid: pid, code: code)
        }
        guard result.code == 0 else {
            throw .cannotStart(program: arguments[0], reason: String(cString: strerror(result.code)))
        }
        return result.pid
    }

    private static func spawn(
        _ pid: inout pid_t, _ line: [String], _ environment: [String: String], output: Int32, errors: Int32
    ) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO)
        for descriptor in self.inheritable() { posix_spawn_file_actions_addclose(&actions, descriptor) }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        // A group of its own: the terminal's Ctrl-C does not reach it, so we stop it in order.
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))

        var arguments: [UnsafeMutablePointer<CChar>?] = line.map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] =
            environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in arguments + variables { free(pointer) } }
        return posix_spawnp(&pid, line[0], &actions, &attributes, &arguments, &variables)
    }

    /// Descriptors of ours that a child would get. A pipe of somebody who waits for its end must not live on in it.
    private static func inheritable() -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return names.compactMap { Int32($0) }.filter { descriptor in
            guard descriptor > STDERR_FILENO else { return false }
            let flags = fcntl(descriptor, F_GETFD)
            return flags >= 0 && flags & FD_CLOEXEC == 0
        }
    }
}

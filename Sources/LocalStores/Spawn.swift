import Foundation

/// Starts programs with nothing of ours in them: no descriptor, no environment, no ignored signal, no terminal.
enum Spawn {
    /// PATH and a locale that every Debian has. What stands in our environment may be secret.
    static var environment: [String: String] {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        return ["PATH": path, "LC_ALL": "C.UTF-8", "HOME": "/"]
    }

    /// Starts `arguments[0]` (a path, or found in PATH), in a session of its own: the terminal's Ctrl-C does not
    /// reach it, so we stop it in order.
    ///
    /// - Parameters:
    ///   - output: the descriptor for its standard output and error.
    ///   - directory: where it starts; entered before the user is changed.
    static func start(
        _ arguments: [String], environment: [String: String] = Self.environment, output: Int32,
        directory: String = "/"
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        for descriptor in self.inheritable() { posix_spawn_file_actions_addclose(&actions, descriptor) }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        let newSession: Int32 = 0x80  // POSIX_SPAWN_SETSID, which glibc declares for _GNU_SOURCE only.
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | newSession))

        // env becomes the program: the pid stays.
        let arguments = ["env", "--chdir=\(directory)"] + arguments
        var argumentPointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var environmentPointers: [UnsafeMutablePointer<CChar>?] =
            environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
        var pid: pid_t = 0
        let code = posix_spawnp(
            &pid, arguments[0], &actions, &attributes, &argumentPointers, &environmentPointers)
        guard code == 0 else {
            throw LocalStoresError(
                program: arguments[0], step: "cannot be started", tail: String(cString: strerror(code)))
        }
        return pid
    }

    /// Runs a program to its end and returns what it wrote; throws with that when it fails.
    ///
    /// - Parameter name: for the error.
    @discardableResult
    static func run(
        _ name: String, _ arguments: [String], environment: [String: String] = Self.environment
    ) throws -> String {
        // A socket pair, since a pipe cannot be made close-on-exec in one step without _GNU_SOURCE.
        var ends: [Int32] = [0, 0]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw LocalStoresError.system(name, "no socket pair")
        }
        defer { close(ends[0]) }
        let pid: pid_t
        do {
            defer { close(ends[1]) }
            pid = try self.start(arguments, environment: environment, output: ends[1])
        }
        let text = self.readToEnd(ends[0])
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        guard status == 0 else {
            throw LocalStoresError(program: name, step: "failed (wait status \(status))", tail: text)
        }
        return text
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

    private static func readToEnd(_ descriptor: Int32) -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }
}

/// Who servers run as when we are root: initdb and postgres refuse root.
struct UnprivilegedUser {
    let name: String
    let uid: uid_t
    let gid: gid_t

    /// nil when we are not root: servers run as ourselves.
    static func ifRoot() throws -> UnprivilegedUser? {
        guard geteuid() == 0 else { return nil }
        guard let user = self.find("postgres") ?? self.find("nobody") else {
            throw LocalStoresError(
                program: "postgres", step: "refuses root, and there is no user postgres or nobody", tail: "")
        }
        return user
    }

    private static func find(_ name: String) -> UnprivilegedUser? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16_384)
        guard getpwnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        return UnprivilegedUser(name: name, uid: entry.pw_uid, gid: entry.pw_gid)
    }

    /// What stands before a command line to run it as this user. setpriv becomes the program: the pid stays.
    var prefix: [String] {
        ["setpriv", "--reuid=\(self.uid)", "--regid=\(self.gid)", "--clear-groups", "--"]
    }
}

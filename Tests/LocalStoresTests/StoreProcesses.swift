import Foundation

/// What can be seen of a store from outside.
enum StoreProcesses {
    /// The pids that name `directory` on their command line or work in it.
    static func of(_ directory: String) throws -> [pid_t] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }.filter { pid in
            // A process that has ended but is not yet reaped has neither.
            let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
            let works = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")
            return pid != getpid()
                && (String(decoding: line, as: UTF8.self).contains(directory + "/")
                    || works?.hasPrefix(directory + "/") == true)
        }
    }
}

/// A directory in /tmp that is removed with all that still runs in it.
struct ScratchDirectory: ~Copyable {
    let path: String

    init(_ name: String = String(UUID().uuidString.prefix(8)), mode: mode_t = 0o755) {
        self.path = "/tmp/tollgate-stores-\(name)"
        mkdir(self.path, mode)
    }

    deinit {
        for pid in (try? StoreProcesses.of(self.path)) ?? [] { kill(pid, SIGKILL) }
        try? FileManager.default.removeItem(atPath: self.path)
    }
}

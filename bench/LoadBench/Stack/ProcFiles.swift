import Glibc

/// What `/proc` says of a process. All of it may be gone by the next line: then the answer is nil, or empty.
enum ProcFiles {
    static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0 { return nil }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }

    static func stat(_ pid: Int32) -> ProcessStat? {
        self.read("/proc/\(pid)/stat").flatMap(ProcessStat.init(parsing:))
    }

    /// nil: it has ended, whether or not somebody has waited for it.
    static func memory(_ pid: Int32) -> ProcessMemory? {
        self.read("/proc/\(pid)/status").flatMap(ProcessMemory.init(parsing:))
    }

    /// Name of the program, at most 15 bytes.
    static func name(_ pid: Int32) -> String? {
        self.read("/proc/\(pid)/comm").map { String($0.prefix { $0 != "\n" }) }
    }

    static func threads(_ pid: Int32) -> [Int32] {
        guard let directory = opendir("/proc/\(pid)/task") else { return [] }
        defer { closedir(directory) }
        var threads: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let thread = Int32(name) { threads.append(thread) }
        }
        return threads
    }

    /// Children that are not reaped; each is listed with the thread that made it.
    static func children(_ pid: Int32) -> [Int32] {
        self.threads(pid).flatMap { thread in
            (self.read("/proc/\(pid)/task/\(thread)/children") ?? "").split(separator: " ").compactMap {
                Int32($0)
            }
        }
    }

    /// `pid` and all below it.
    static func tree(_ pid: Int32) -> [Int32] {
        [pid] + self.children(pid).flatMap(self.tree)
    }
}

/// Of `/proc/PID/stat` (proc(5)).
struct ProcessStat: Equatable {
    /// User and system time of the process, in clock ticks.
    var ownTicks: Int64
    /// Of children that ended and were waited for, and of theirs.
    var reapedTicks: Int64

    static let ticksPerSecond = Int64(max(1, sysconf(Int32(_SC_CLK_TCK))))

    /// nil when it is not such a line.
    init?(parsing line: String) {
        // The name stands in parentheses, and may have blanks and parentheses itself.
        guard let end = line.lastIndex(of: ")") else { return nil }
        let fields = line[line.index(after: end)...].split(separator: " ")
        guard fields.count > 14 else { return nil }
        let times = fields[11...14].compactMap { Int64($0) }
        guard times.count == 4 else { return nil }
        self.ownTicks = times[0] + times[1]
        self.reapedTicks = times[2] + times[3]
    }
}

/// Of `/proc/PID/status`, bytes. Pages of files are left out: a mapped journal or a program's text belongs to the page
/// cache, which the kernel may take back at any time.
struct ProcessMemory: Equatable {
    var anonymous = 0
    /// Shared memory that it has touched: for Postgres, its buffers.
    var shared = 0

    /// nil: there is no memory any more.
    init?(parsing text: String) {
        guard text.contains("\nRssAnon:") else { return nil }
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count >= 2, let kibibytes = Int(words[1]) else { continue }
            if words[0] == "RssAnon:" { self.anonymous = kibibytes * 1024 }
            if words[0] == "RssShmem:" { self.shared = kibibytes * 1024 }
        }
    }
}

import Glibc

extension Machine {
    /// This machine, as it is now.
    ///
    /// - Parameter versions: of the programs that take part (`ProgramPath.version`).
    public static func read(layout: CoreLayout, versions: [String]) -> Machine {
        var names = utsname()
        uname(&names)
        let kernel = withUnsafeBytes(of: &names.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        return Machine(
            cpu: self.cpu(parsing: ProcFiles.read("/proc/cpuinfo") ?? ""),
            cores: max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))),
            memoryBytes: pages * sysconf(Int32(_SC_PAGESIZE)), kernel: kernel, layout: layout.text,
            loadBefore: self.load(parsing: ProcFiles.read("/proc/loadavg") ?? ""), versions: versions)
    }

    /// `model name` on x86; Arm's kernels tell numbers only.
    static func cpu(parsing text: String) -> String {
        for line in text.split(separator: "\n") where line.hasPrefix("model name") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            return String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        return "unknown"
    }

    static func load(parsing text: String) -> Double {
        text.split(separator: " ").first.flatMap { Double($0) } ?? 0
    }
}

/// Open files of this process, and of what it starts.
public enum DescriptorLimit {
    /// Takes all that the system grants without being asked twice, and says how many that are.
    @discardableResult
    public static func raise() -> Int {
        let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(kind, &limit) == 0 else { return 1024 }
        let granted = limit.rlim_cur
        limit.rlim_cur = limit.rlim_max
        return Int(clamping: setrlimit(kind, &limit) == 0 ? limit.rlim_cur : granted)
    }
}

import Glibc

/// How processes are spread over the cores. A proxy that has a core of its own is not moved about, and nobody else's
/// cache misses are its.
public enum CoreLayout: Sendable, Equatable {
    case unpinned
    case split(proxy: Int, others: [Int])

    public enum Role: Sendable { case proxy, other }

    /// The proxy on the last of `cores`, all else on the others; one core cannot be split.
    public static func over(_ cores: [Int]) -> CoreLayout {
        guard cores.count > 1, let last = cores.max() else { return .unpinned }
        return .split(proxy: last, others: cores.filter { $0 != last }.sorted())
    }

    /// Over the cores that this process may use.
    public static func ofThisMachine() -> CoreLayout { self.over(self.allowedCores) }

    public static var allowedCores: [Int] {
        let status = ProcFiles.read("/proc/self/status") ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") }
        return self.cores(parsing: line.map { String($0.drop { $0 != ":" }.dropFirst()) } ?? "")
    }

    /// Of a list as the kernel writes it: `0-2,5`.
    static func cores(parsing list: String) -> [Int] {
        list.split(whereSeparator: { $0 == "," || $0.isWhitespace }).flatMap { part -> [Int] in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last else { return [] }
            return Array(first...last)
        }
    }

    /// nil: any.
    public func cores(of role: Role) -> [Int]? {
        guard case .split(let proxy, let others) = self else { return nil }
        return role == .proxy ? [proxy] : others
    }

    /// For `Machine.layout`.
    public var text: String {
        guard case .split(let proxy, let others) = self else { return "not pinned" }
        let names = others.map(String.init).joined(separator: ", ")
        return
            "proxies, one under load at a time, on core \(proxy), all else on core\(others.count == 1 ? "" : "s") \(names)"
    }

    /// What stands before a command line so that the program is pinned from its first instruction. taskset becomes the
    /// program: the pid stays, and threads and children inherit.
    public func startPrefix(_ role: Role) -> [String] {
        guard let cores = self.cores(of: role) else { return [] }
        return ["taskset", "-c", cores.map(String.init).joined(separator: ",")]
    }

    /// Pins every thread of a running process, and with children of all below it. Threads made later inherit from
    /// their makers; it looks again until there is no new one.
    public func pin(_ pid: Int32, _ role: Role, withChildren: Bool = true) throws(StackError) {
        guard let cores = self.cores(of: role) else { return }
        guard !ProcFiles.threads(pid).isEmpty else { throw .notPinned(pid: pid, reason: "it does not run") }
        var pinned: Set<Int32> = []
        while true {
            let threads = (withChildren ? ProcFiles.tree(pid) : [pid]).flatMap(ProcFiles.threads)
            let fresh = threads.filter { !pinned.contains($0) }
            if fresh.isEmpty { return }
            for thread in fresh { try Affinity.set(thread, cores) }
            pinned.formUnion(fresh)
        }
    }

    /// The harness itself goes where the others are; what it started already is left where it is.
    public func pinThisProcess() throws(StackError) { try self.pin(getpid(), .other, withChildren: false) }
}

/// `sched_setaffinity`, which glibc declares for `_GNU_SOURCE` only.
enum Affinity {
    private typealias Setter = @convention(c) (pid_t, Int, UnsafeRawPointer) -> Int32

    private static let setter: Setter? = dlsym(nil, "sched_setaffinity").map {
        unsafeBitCast($0, to: Setter.self)
    }

    /// A thread that has ended meanwhile is no error.
    static func set(_ thread: pid_t, _ cores: [Int]) throws(StackError) {
        guard let setter else {
            throw .notPinned(pid: thread, reason: "no sched_setaffinity in this C library")
        }
        var words = [UInt](repeating: 0, count: 1024 / UInt.bitWidth)
        for core in cores where core < 1024 { words[core / UInt.bitWidth] |= 1 << (core % UInt.bitWidth) }
        guard setter(thread, 1024 / 8, words) != 0, errno != ESRCH else { return }
        throw .notPinned(pid: thread, reason: String(cString: strerror(errno)))
    }
}

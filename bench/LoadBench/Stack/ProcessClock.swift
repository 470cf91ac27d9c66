import Glibc

/// What a process, and what it started, has used so far.
public enum ProcessClock {
    /// CPU seconds of `pid`, its threads that have ended included. With children: also of all below it, living or
    /// not; each counts once, since it is either living, with a clock of its own, or waited for, and then in its
    /// parent's total. The clocks tell nanoseconds; what was waited for is told in ticks (10 ms), so a child's end
    /// can take back at most two of them.
    ///
    /// A child whose parent does not wait for it (SIGCHLD ignored) is lost when it ends; nginx, Postgres and Redis
    /// wait.
    public static func seconds(_ pid: Int32, withChildren: Bool = true) throws(StackError) -> Double {
        guard let nanoseconds = withChildren ? self.tree(pid) : self.own(pid) else {
            throw .gone(process: "process", pid: pid)
        }
        return Double(nanoseconds) / 1e9
    }

    /// Resident bytes: anonymous memory of each process, and shared memory once (the largest that one of them has
    /// touched). Pages of files do not count. Memory that forked processes still share counts for each.
    public static func residentBytes(_ pid: Int32, withChildren: Bool = true) throws(StackError) -> Int {
        guard let own = ProcFiles.memory(pid) else { throw .gone(process: "process", pid: pid) }
        let others = withChildren ? ProcFiles.tree(pid).filter { $0 != pid } : []
        let parts = [own] + others.compactMap(ProcFiles.memory)
        return parts.reduce(0) { $0 + $1.anonymous } + (parts.map(\.shared).max() ?? 0)
    }

    private static func own(_ pid: Int32) -> Int64? {
        var clock: clockid_t = 0
        var time = timespec()
        guard clock_getcpuclockid(pid, &clock) == 0, clock_gettime(clock, &time) == 0 else { return nil }
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    private static func tree(_ pid: Int32) -> Int64? {
        guard let own = self.own(pid), var reaped = ProcFiles.stat(pid)?.reapedTicks else { return nil }
        var living: Int64 = 0
        // A child that is waited for between the two looks would count twice, or not at all: look again.
        for _ in 0..<8 {
            living = ProcFiles.children(pid).reduce(0) { $0 + (self.tree($1) ?? 0) }
            guard let after = ProcFiles.stat(pid)?.reapedTicks else { return nil }
            if after == reaped { break }
            reaped = after
        }
        return own + living + reaped * (1_000_000_000 / ProcessStat.ticksPerSecond)
    }
}

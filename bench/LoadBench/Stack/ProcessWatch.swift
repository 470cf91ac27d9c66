import Glibc

/// A process of the deployment whose use is told.
public struct WatchedProcess: Sendable, Equatable {
    /// As `ProcessUse.name`: `proxy`, `redis`, `postgres`, `mock`, `bench`.
    public let name: String
    public let pid: Int32
    public let includesChildren: Bool

    public init(name: String, pid: Int32, includesChildren: Bool = true) {
        self.name = name
        self.pid = pid
        self.includesChildren = includesChildren
    }

    /// The harness itself; its children are the deployment.
    public static var bench: WatchedProcess {
        WatchedProcess(name: "bench", pid: getpid(), includesChildren: false)
    }

    func cpuSeconds() throws(StackError) -> Double {
        do {
            return try ProcessClock.seconds(self.pid, withChildren: self.includesChildren)
        } catch {
            throw .gone(process: self.name, pid: self.pid)
        }
    }

    func residentBytes() throws(StackError) -> Int {
        do {
            return try ProcessClock.residentBytes(self.pid, withChildren: self.includesChildren)
        } catch {
            throw .gone(process: self.name, pid: self.pid)
        }
    }
}

/// What processes use in a run: memory from before its first exchange to after its last one, CPU in its measured part.
/// `init`, `begin`, `finish`, `settle`, in this order; between `begin` and `finish` the load calls `sample` every 200 ms or
/// so.
public struct ProcessWatch: Sendable {
    private var uses: [(process: WatchedProcess, use: ProcessUse)]

    /// Before anything is asked of them.
    ///
    /// - Throws: `gone` when one of them does not live; so do all others.
    public init(_ processes: [WatchedProcess]) throws(StackError) {
        self.uses = []
        for process in processes {
            let resident = try process.residentBytes()
            let use = ProcessUse(
                name: process.name, cpuSeconds: 0, residentBefore: resident, residentAfter: resident,
                residentPeak: resident)
            self.uses.append((process, use))
        }
    }

    /// The measured part begins.
    public mutating func begin() throws(StackError) {
        for index in self.uses.indices {
            self.uses[index].use.cpuSeconds = try self.uses[index].process.cpuSeconds()
        }
    }

    /// Looks at memory.
    ///
    /// - Throws: `gone`, so that nobody waits for hours to hear that a proxy has died.
    public mutating func sample() throws(StackError) {
        for index in self.uses.indices {
            let resident = try self.uses[index].process.residentBytes()
            self.uses[index].use.residentPeak = max(self.uses[index].use.residentPeak, resident)
        }
    }

    /// The measured part ends.
    public mutating func finish() throws(StackError) {
        for index in self.uses.indices {
            let (process, use) = self.uses[index]
            let now = try process.cpuSeconds()
            self.uses[index].use.cpuSeconds = max(0, now - use.cpuSeconds)
            self.uses[index].use.cpuSecondsAfter = now
        }
        try self.sample()
    }

    /// Nothing is under way any more.
    ///
    /// - Returns: what was used, in the order given to `init`.
    public mutating func settle() throws(StackError) -> [ProcessUse] {
        for index in self.uses.indices {
            let (process, use) = self.uses[index]
            let resident = try process.residentBytes()
            self.uses[index].use.cpuSecondsAfter = max(0, try process.cpuSeconds() - use.cpuSecondsAfter)
            self.uses[index].use.isLeft(residentBytes: resident)
        }
        return self.uses.map(\.use)
    }
}

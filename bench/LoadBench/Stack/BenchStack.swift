import Foundation

/// A deployment of its own: stores, mock upstream, and one proxy for each lane, all on 127.0.0.1 and below one
/// directory. Ended at the latest with this object. For one thread.
public final class BenchStack {
    public let setup: StackSetup
    public let directory: String
    let stores: DevStores
    private let mock: ChildProgram
    private let mockPort: Int
    private let certificates: StackCertificates?
    /// In the order of their starts.
    private let children: StartedChildren
    private var proxies: [StackLane: (child: ChildProgram, port: Int)] = [:]
    /// So that accounts of several calls have names of their own.
    var accountsMade = 0

    private init(
        setup: StackSetup, directory: String, stores: DevStores, mock: ChildProgram, mockPort: Int,
        certificates: StackCertificates?, children: StartedChildren
    ) {
        self.setup = setup
        self.directory = directory
        self.stores = stores
        self.mock = mock
        self.mockPort = mockPort
        self.certificates = certificates
        self.children = children
    }

    deinit { self.stop() }

    /// Starts the stores and the mock; what was started is stopped when a step fails.
    ///
    /// - Parameter say: takes one line for each step.
    public static func start(_ setup: StackSetup, say: (String) -> Void = { _ in }) throws(StackError)
        -> BenchStack
    {
        try setup.checkPrograms()
        DescriptorLimit.raise()
        let directory = try StackFiles.makeDirectory(below: setup.parentDirectory, prefix: "tollgate-bench-")
        let children = StartedChildren(directory: setup.keepsFiles ? nil : directory)
        do throws(StackError) {
            say("files in \(directory)")
            let certificates = setup.tls.isUsed ? try StackCertificates.make(in: directory) : nil
            let port = try LoopbackPort.free()
            say("starting mock-openai")
            let mock = try MockUpstream.start(
                setup, port: port, certificates: certificates, directory: directory, started: children.add)
            say("starting the stores (tollgate dev)")
            let stores = try DevStores.start(setup, directory: directory, started: children.add)
            return BenchStack(
                setup: setup, directory: directory, stores: stores, mock: mock, mockPort: port,
                certificates: certificates, children: children)
        } catch {
            _ = children.stopAll()
            throw error
        }
    }

    /// Starts what the lane needs, unless it runs, and says where it is.
    public func startLane(_ lane: StackLane) throws(StackError) -> LaneTarget {
        if lane != .direct, self.proxies[lane] == nil { self.proxies[lane] = try self.startProxy(lane) }
        var processes: [WatchedProcess] = []
        if let proxy = self.proxies[lane] {
            processes.append(WatchedProcess(name: "proxy", pid: proxy.child.pid))
        }
        if lane == .plain || lane == .governed { processes += try self.stores.watched() }
        processes += [WatchedProcess(name: "mock", pid: self.mock.pid), .bench]
        // Without a proxy the load meets the leg that ends at the mock.
        let isTLS = lane == .direct ? self.setup.tls.upstream : self.setup.tls.client
        return LaneTarget(
            lane: lane.rawValue, host: "127.0.0.1", port: self.proxies[lane]?.port ?? self.mockPort,
            caFile: isTLS ? self.certificates?.authorityFile : nil, processes: processes)
    }

    /// Ends the lane's proxy: one that is not measured should not be there.
    public func stopLane(_ lane: StackLane) throws(StackError) {
        guard let proxy = self.proxies.removeValue(forKey: lane) else { return }
        self.children.forget(proxy.child)
        try proxy.child.stop()
    }

    /// Everything that was started is there still.
    public func checkRunning() throws(StackError) {
        for child in self.children.all { try child.checkRunning() }
    }

    /// Stops everything, last first, and removes the files. Does nothing the second time.
    ///
    /// - Returns: what did not stop as it should.
    @discardableResult
    public func stop() -> [StackError] {
        self.proxies = [:]
        return self.children.stopAll()
    }

    /// Where the lanes of Tollgate, and whoever posts beside them, keep their journals.
    public var laneJournalDirectory: String { self.directory + "/journal" }

    public var databaseURL: String { self.stores.facts.databaseURL }

    // MARK: Proxies

    private func startProxy(_ lane: StackLane) throws(StackError) -> (child: ChildProgram, port: Int) {
        let port = try LoopbackPort.free()
        let child = try self.startProxy(lane, port: port)
        self.children.add(child)
        return (child, port)
    }

    /// What does not become ready ends with its object.
    private func startProxy(_ lane: StackLane, port: Int) throws(StackError) -> ChildProgram {
        let prefix = self.setup.layout.startPrefix(.proxy)
        let settings = BaselineSettings(
            port: port, upstreamPort: self.mockPort, certificates: self.certificates, tls: self.setup.tls,
            isStreaming: self.setup.isStreaming, connectionsMax: self.setup.connectionsMax)
        let place = try StackFiles.makeDirectory(self.directory + "/" + lane.rawValue)
        switch lane {
        case .direct: preconditionFailure("startLane() asks for no proxy here")
        case .plain, .governed: return try self.startTollgate(lane, port: port)
        case .nginx: return try NginxBaseline.start(settings, directory: place, prefix: prefix)
        case .haproxy: return try HAProxyBaseline.start(settings, directory: place, prefix: prefix)
        case .litellm:
            return try LiteLLMBaseline(environmentPath: self.setup.liteLLMPath).start(
                settings, models: self.setup.models, directory: place, prefix: prefix)
        }
    }

    private func startTollgate(_ lane: StackLane, port: Int) throws(StackError) -> ChildProgram {
        let places = TollgateLane.Places(
            port: port, opsPort: try LoopbackPort.free(), mockPort: self.mockPort,
            journalDirectory: self.laneJournalDirectory, certificates: self.certificates)
        return try TollgateLane.start(lane, self.setup, self.stores.facts, places, directory: self.directory)
    }
}

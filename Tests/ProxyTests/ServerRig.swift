import Dispatch
import Glibc
import Logging
import Metering
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Proxy

/// The real `ProxyServer` on real sockets between scripted clients and a scripted upstream, with its ports in
/// memory.
final class ServerRig: Sendable {
    let server: ProxyServer
    let port: Int
    let upstream: ServerUpstream
    let store: FakeHoldStore
    let settlements: RecordingSettlements
    let directory: FakeDirectory
    let control: FakeControlPlane
    let clock: LedgerClock
    let owners: FakeOwners
    private let group: MultiThreadedEventLoopGroup
    private let log: LoggedLines
    private let clients = Mutex<[WireClient]>([])

    typealias F = ServerFixtures

    private init(
        server: ProxyServer, port: Int, upstream: ServerUpstream, store: FakeHoldStore,
        settlements: RecordingSettlements, directory: FakeDirectory, control: FakeControlPlane,
        clock: LedgerClock, owners: FakeOwners, group: MultiThreadedEventLoopGroup, log: LoggedLines
    ) {
        self.server = server
        self.port = port
        self.upstream = upstream
        self.store = store
        self.settlements = settlements
        self.directory = directory
        self.control = control
        self.clock = clock
        self.owners = owners
        self.group = group
        self.log = log
    }

    private static let turns = Turnstile(8)

    /// Runs `body` with a started server, then audits that nothing is left of it.
    ///
    /// - Parameters:
    ///   - onCall: see `ServerUpstream.start`.
    ///   - threads: event loops of the proxy.
    ///   - model: the one that has a price.
    static func with(
        readsRequests: Bool = true, threads: Int = 1, onDisconnect: DisconnectPolicy? = nil,
        earlyReply: String? = nil, clock: LedgerClock = LedgerClock(), model: String = "gpt-test",
        encodings: EncodingTables = EncodingTables(), controls: any ControlSource = FixedControls(),
        replies: any ReplyKeeping = NoReplyKeeping(),
        onCall: (@Sendable (UpstreamCall) -> Void)? = nil,
        configure: (inout DataPlaneConfiguration) throws -> Void = { _ in },
        _ body: (ServerRig) async throws -> Void
    ) async throws {
        await self.turns.enter()
        defer { self.turns.leave() }
        let upstream = try await ServerUpstream.start(
            readsRequests: readsRequests, earlyReply: earlyReply, onCall: onCall)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        var configuration = DataPlaneConfiguration(
            upstream: try UpstreamOrigin.parse("http://127.0.0.1:\(upstream.port)/v1"),
            upstreamKey: "sk-operator-secret", publicURL: "http://proxy", boot: HoldID(high: 0, low: 1))
        configuration.listenPort = 0
        // No time-out fires but the one that a test is about, however long it waits for its turn.
        configuration.timeouts.clientHead = .minutes(2)
        configuration.timeouts.clientBody = .minutes(2)
        configuration.timeouts.lingering = .minutes(2)
        configuration.timeouts.upstreamConnect = .minutes(2)
        configuration.timeouts.shutdown = .minutes(2)
        try configure(&configuration)
        let (store, settlements) = (FakeHoldStore(), RecordingSettlements())
        let (directory, control, owners) = (FakeDirectory(), FakeControlPlane(), FakeOwners())
        let log = try LoggedLines()
        let server = ProxyServer(
            configuration: configuration,
            dependencies: DataPlaneDependencies(
                directory: directory, prices: FakePrices(onDisconnect: onDisconnect, model: model),
                controls: controls, settlements: settlements,
                keyHasher: FakeDirectory.hasher, makeHolds: { store.makeSession(on: $0) }, control: control,
                accessLog: log.log, clock: clock, encodings: encodings, responses: owners, replies: replies),
            group: group, logger: Logger(label: "test"))
        try await server.start()
        let rig = ServerRig(
            server: server, port: server.port ?? 0, upstream: upstream, store: store,
            settlements: settlements, directory: directory, control: control, clock: clock, owners: owners,
            group: group, log: log)
        do {
            try await body(rig)
            try await rig.audit()
        } catch {
            // One error is enough; the rest is put away so that the next test starts clean.
            await rig.closeClients()
            await rig.putAway()
            try? await group.shutdownGracefully()
            throw error
        }
        await rig.putAway()
        rig.auditLog()
        #expect(await upstream.watched.until { $0.open == 0 }, "upstream connections outlive the server")
        try await group.shutdownGracefully()
    }

    private func putAway() async {
        self.server.stopNow()
        await self.server.stop()
        await self.upstream.resumeReading()
        await self.upstream.stop()
        await self.log.close()
    }

    func closeClients() async {
        for client in self.clients.withLock({ $0 }) { await client.close() }
    }

    // MARK: Clients

    func connect(
        receiveBuffer: Int? = nil, keepsBytes: Bool = true, saying text: String = "",
        dripping drip: WireClient.Drip? = nil,
        onRead: (@Sendable (Watched<WireClient.State>, any Channel) -> Void)? = nil
    ) async throws -> WireClient {
        let client = try await WireClient.connect(
            port: self.port, receiveBuffer: receiveBuffer, keepsBytes: keepsBytes, saying: text,
            dripping: drip, onRead: onRead)
        self.clients.withLock { $0.append(client) }
        return client
    }

    /// A client that has sent `bytes`.
    func send(_ bytes: String) async throws -> WireClient { try await self.connect(saying: bytes) }

    /// One request on a connection of its own, and its reply.
    func ask(_ bytes: String, headOnly: Bool = false) async throws -> WireReply {
        let client = try await self.send(bytes)
        let reply = try await client.reply(headOnly: headOnly)
        await client.close()
        return reply
    }

    /// Lets things happen in the kernel while the proxy's one loop looks away; it then finds them all at
    /// once.
    func whileLoopIsHeld(_ body: () async throws -> Void) async throws {
        let goOn = DispatchSemaphore(value: 0)
        let isHeld = Watched(false)
        self.group.next().execute {
            isHeld.update { $0 = true }
            goOn.wait()
        }
        _ = await isHeld.until { $0 }
        defer { goOn.signal() }
        try await body()
    }

    /// What the loops had to do before is done.
    func loopsAreThrough() async throws {
        for _ in 0..<2 { for loop in self.group.makeIterator() { try await loop.submit {}.get() } }
    }

    // MARK: Looking

    /// Waits for something that nobody announces.
    func eventually(
        _ what: String, within limit: Duration = .seconds(40), _ condition: () -> Bool
    ) async throws {
        let end = ContinuousClock.now + limit
        while !condition() {
            guard ContinuousClock.now < end else { throw NeverHappened(what) }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Waits until so many exchanges are settled.
    func settled(_ count: Int) async throws -> [Settlement] {
        guard await self.settlements.watched.until({ $0.settlements.count >= count }) else {
            throw NeverHappened(
                "\(count) settlements; got \(self.settlements.watched.state.settlements.count)")
        }
        return self.settlements.watched.state.settlements
    }

    var exchangesRunning: Int { self.server.metrics.exchangesRunning.load(ordering: .relaxed) }
    var connectionsOpen: Int { self.server.metrics.connectionsOpen.load(ordering: .relaxed) }

    /// What `proxy_requests_total` says of a status.
    func count(status: Int) -> Int {
        let samples = self.server.metrics.samples().filter { sample in
            sample.name == "proxy_requests_total"
                && sample.labels.contains { $0.name == "status" && $0.value == String(status) }
        }
        return samples.reduce(0) { $0 + (Int($1.value.description) ?? 0) }
    }

    // MARK: Audit

    /// Closes all clients. Then nothing runs, no hold is open, every hold came to exactly one end, every
    /// reservation is used or given back, and each upstream connection that is open is idle.
    func audit() async throws {
        await self.closeClients()
        try await self.eventually("no exchange runs; \(self.exchangesRunning) do") {
            self.exchangesRunning == 0
        }
        try await self.eventually("no connection is open") { self.connectionsOpen == 0 }
        #expect(self.server.metrics.streamsOpen.load(ordering: .relaxed) == 0)
        #expect(await self.store.watched.until { $0.open.isEmpty && $0.waiting == 0 }, "an open hold")
        #expect(await self.settlements.watched.until { $0.openReservations == 0 }, "an open reservation")
        #expect(await self.upstream.watched.until { $0.busy.isEmpty }, "a busy upstream connection")
        let (holds, sink) = (self.store.watched.state, self.settlements.watched.state)
        #expect(holds.violations.isEmpty && sink.violations.isEmpty, "\(holds.violations + sink.violations)")
        #expect(
            Set(sink.opened.keys).isSubset(of: sink.settlements.map(\.hold)), "what was opened has an end")
        let finals = sink.settlements.filter { $0.kind == .final || $0.kind == .waived }
        #expect(Set(finals.map(\.hold)) == Set(holds.captured.keys), "captured is what was settled")
        for settlement in finals {
            #expect(holds.captured[settlement.hold] == settlement.charge.amount)
        }
        let voids = sink.settlements.filter { $0.kind == .void }
        #expect(voids.allSatisfy { holds.released.contains($0.hold) }, "a VOID gives its hold back")
        #expect(holds.released.isDisjoint(with: holds.captured.keys), "no hold ends twice")
    }

    /// Each outcome has its one line, and no line has a secret or a prompt in it.
    private func auditLog() {
        let lines = self.log.lines
        for settlement in self.settlements.watched.state.settlements {
            let mine = lines.count { $0.holds(settlement.hold.description) }
            #expect(mine == 1, "\(mine) lines of the access log for one exchange")
        }
        for secret in ["tg_ada", "tg_svc", "sk-operator", "hello"] {
            #expect(!lines.contains { $0.holds(secret) }, "'\(secret)' is in the access log")
        }
    }
}

/// An access log in a file without a name, so that nothing is left of it.
private struct LoggedLines {
    let log: AccessLog
    private let descriptor: Int32

    struct NoFile: Error {}

    init() throws {
        var path = Array("/tmp/tollgate-test-log.XXXXXX".utf8CString)
        self.descriptor = mkstemp(&path)
        guard self.descriptor >= 0, fcntl(self.descriptor, F_SETFD, FD_CLOEXEC) == 0 else { throw NoFile() }
        let name = String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        self.log = try AccessLog(.file(name))
        unlink(name)
    }

    func close() async { await self.log.shutdown() }

    /// After `close`, once.
    var lines: [String] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        lseek(self.descriptor, 0, SEEK_SET)
        while case let count = read(self.descriptor, &piece, piece.count), count > 0 {
            bytes += piece[..<count]
        }
        Glibc.close(self.descriptor)
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}

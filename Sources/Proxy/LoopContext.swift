import CMalloc
import Glibc
import Metering
import NIOCore

/// What one event loop owns: its hold session, its upstream connections, its running exchanges. Only used on
/// that loop.
final class LoopContext {
    let eventLoop: any EventLoop
    let configuration: DataPlaneConfiguration
    let dependencies: DataPlaneDependencies
    let holds: any HoldSession
    let pool: UpstreamPool
    let metrics: ProxyMetrics
    var buffers: SpareBuffers { self.pool.buffers }
    /// What all loops hold in memory together.
    let budget: ByteBudget
    let inputCounter: InputCounter
    let runEnds: RunEnds
    private var accessLog: AccessLogBuffer
    let headLimits: HeadLimits
    /// The field line that authenticates the operator upstream.
    private(set) var upstreamAuthorization: [UInt8] = []
    private(set) var keyHasher: KeyHasher
    /// Changes with `keyHasher`; digests that were remembered before are worth nothing.
    private(set) var keyGeneration = 0
    /// The server is going away: every reply says that its connection closes.
    private(set) var isLeaving = false
    /// No new exchange begins any more.
    private var isClosed = false
    private var date = HTTPDate()
    private var random = KernelRandom()
    private var exchanges: [ObjectIdentifier: Exchange] = [:]
    private var connections: [ObjectIdentifier: ClientConnection] = [:]
    /// What else must be told of a shutdown: connections that carry streams.
    private var sessions: [ObjectIdentifier: any ClientSession] = [:]
    private var turns = CircularBuffer<ClientConnection>()
    /// Connections beyond the limits that are being told so.
    private var refusalsOpen = 0
    private static let refusalsMax = 64
    private var sweep: RepeatedTask?
    private var turn = SweepTurn()
    private var ebb = MemoryEbb()

    init(
        eventLoop: any EventLoop, configuration: DataPlaneConfiguration, dependencies: DataPlaneDependencies,
        holds: any HoldSession, pool: UpstreamPool, metrics: ProxyMetrics, budget: ByteBudget,
        accessLog: AccessLog
    ) {
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.dependencies = dependencies
        self.holds = holds
        self.pool = pool
        self.metrics = metrics
        self.keyHasher = dependencies.keyHasher
        self.budget = budget
        self.inputCounter = InputCounter(eventLoop, dependencies.encodings)
        self.runEnds = RunEnds(eventLoop, dependencies.replies, budget: budget)
        self.accessLog = AccessLogBuffer(accessLog)
        self.headLimits = HeadLimits(
            bytesMax: configuration.limits.headBytesMax, fieldsMax: configuration.limits.headFieldsMax)
        self.setUpstreamKey(configuration.upstreamKey)
    }

    func setKeyHasher(_ hasher: KeyHasher) {
        self.keyHasher = hasher
        self.keyGeneration += 1
    }

    /// Exchanges that are sent upstream from now on carry this key.
    func setUpstreamKey(_ key: String) {
        self.upstreamAuthorization = Array("Authorization: Bearer \(key)\r\n".utf8)
    }

    /// The `date` of a reply that is written now.
    func now() -> HTTPDate {
        self.date.update()
        return self.date
    }

    /// Wall clock, milliseconds since 1970.
    static func wallMilliseconds() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
    }

    func makeHoldID(millisecondsSinceEpoch: Int64) -> HoldID {
        let bits = (self.random.next(), self.random.next())
        return HoldID(
            // A clock that is this wrong is not trusted, but still names its refusals.
            millisecondsSinceEpoch: UInt64(max(0, millisecondsSinceEpoch)),
            randomA: UInt16(truncatingIfNeeded: bits.0),
            randomB: bits.1)
    }

    /// Never 0, which is no id.
    func makeSpanID() -> UInt64 { max(1, self.random.next()) }

    // MARK: Running exchanges

    /// One timer per loop looks at all deadlines, instead of one timer per exchange.
    func startSweeping() {
        let selfOnLoop = NIOLoopBound(self, eventLoop: self.eventLoop)
        self.sweep = self.eventLoop.scheduleRepeatedTask(
            initialDelay: SweepTurn.time, delay: SweepTurn.time
        ) { _ in selfOnLoop.value.sweepExchanges() }
    }

    private func sweepExchanges() {
        self.turn = self.turn.next
        for exchange in self.exchanges.values.filter(self.turn.isOf) { exchange.secondPassed() }
        if self.turn.looksAtDeadlines { self.checkDeadlines() }
        guard self.turn.beginsSecond else { return }
        self.runEnds.tellAgain()
        self.giveBackMemory()
    }

    private func checkDeadlines() {
        let now = NIODeadline.now()
        for exchange in Array(self.exchanges.values) { exchange.checkDeadline(now) }
        for connection in Array(self.connections.values) { connection.checkDeadline(now) }
        self.accessLog.flush()
    }

    /// What closed connections had stays with the allocator, in pieces; when most of them are gone it goes back to the
    /// system.
    private func giveBackMemory() {
        if self.ebb.isNow(connections: self.connectionCount + self.pool.count) { malloc_trim(0) }
    }

    var logsAccess: Bool { !self.accessLog.isOff }

    func log(_ record: @autoclosure () -> AccessRecord) { self.log { record() } }

    func log(_ record: () -> AccessRecord) {
        guard !self.accessLog.isOff else { return }
        self.accessLog.append(record())
    }

    /// Why no exchange can begin now; nil when one can.
    var refusesExchanges: Refusal? {
        if self.isClosed { return .draining }
        let running = self.metrics.exchangesRunning.load(ordering: .relaxed)
        return running < self.configuration.limits.exchangesMax ? nil : .overloaded
    }

    func register(_ exchange: Exchange) {
        self.exchanges[ObjectIdentifier(exchange)] = exchange
        self.metrics.exchangesRunning.wrappingAdd(1, ordering: .relaxed)
    }

    func unregister(_ exchange: Exchange) {
        guard self.exchanges.removeValue(forKey: ObjectIdentifier(exchange)) != nil else { return }
        self.metrics.exchangesRunning.wrappingSubtract(1, ordering: .relaxed)
    }

    func register(_ connection: ClientConnection) {
        self.connections[ObjectIdentifier(connection)] = connection
        self.metrics.connectionsOpen.wrappingAdd(1, ordering: .relaxed)
    }

    func unregister(_ connection: ClientConnection) {
        guard self.connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        self.metrics.connectionsOpen.wrappingSubtract(1, ordering: .relaxed)
    }

    // MARK: Turns

    /// A connection has more requests than it may have answered in one go. It gets its next turn after the loop has
    /// looked at its sockets again: one turn between two looks, however many wait.
    func awaitTurn(_ connection: ClientConnection) {
        self.turns.append(connection)
        if self.turns.count == 1 { self.scheduleTurn() }
    }

    private func scheduleTurn() {
        let selfOnLoop = NIOLoopBound(self, eventLoop: self.eventLoop)
        // NIO runs tasks that tasks enqueue before it looks at sockets; a timer that is not due yet lets it look.
        self.eventLoop.scheduleTask(in: .microseconds(20)) { selfOnLoop.value.takeTurn() }
    }

    private func takeTurn() {
        // Stays in the line meanwhile, so that it is not scheduled twice.
        self.turns.first?.takeTurn()
        self.turns.removeFirst()
        if !self.turns.isEmpty { self.scheduleTurn() }
    }

    func register(_ session: any ClientSession) { self.sessions[ObjectIdentifier(session)] = session }

    func unregister(_ session: any ClientSession) { self.sessions[ObjectIdentifier(session)] = nil }

    /// Whether a connection beyond the limits may stay for as long as being told so takes. In a flood of them the
    /// answer would cost what the limit saves.
    func enterRefusal() -> Bool {
        guard self.refusalsOpen < Self.refusalsMax else { return false }
        self.refusalsOpen += 1
        return true
    }

    func leaveRefusal() { self.refusalsOpen -= 1 }

    var connectionCount: Int { self.connections.count + self.sessions.count }

    /// Exchanges, replies whose last bytes are on their way, and ends that the ledger has not heard of.
    var unfinishedCount: Int {
        self.exchanges.count + self.runEnds.count
            + self.connections.values.count { $0.isAnswering && $0.exchange == nil }
    }

    // MARK: Shutting down, in this order

    /// Everything is served, and every reply says that its connection closes.
    func beginLeaving() { self.isLeaving = true }

    /// Connections that carry streams are told that no more are taken.
    func quiesceSessions() {
        for session in Array(self.sessions.values) { session.quiesce() }
    }

    /// No new exchanges; idle connections close, busy ones after their reply.
    func close() {
        self.isClosed = true
        for connection in Array(self.connections.values) { connection.quiesce() }
    }

    /// Ends whatever still runs; every exchange is settled with what it knows.
    func stopNow() {
        for exchange in Array(self.exchanges.values) { exchange.shutDown() }
        for connection in Array(self.connections.values) { connection.abort() }
        for session in Array(self.sessions.values) { session.abort() }
        self.sweep?.cancel()
        self.pool.shutdown()
        self.accessLog.flush()
    }
}

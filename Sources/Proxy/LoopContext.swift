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
    let allocator = ByteBufferAllocator()
    /// The field line that authenticates the operator upstream.
    let upstreamAuthorization: [UInt8]
    private(set) var isDraining = false
    private var date = HTTPDate()
    private var random: SystemRandomNumberGenerator = .init()
    private var exchanges: [ObjectIdentifier: Exchange] = [:]
    private var connections: [ObjectIdentifier: ClientConnection] = [:]
    private var sweep: RepeatedTask?

    init(
        eventLoop: any EventLoop, configuration: DataPlaneConfiguration, dependencies: DataPlaneDependencies,
        holds: any HoldSession, pool: UpstreamPool, metrics: ProxyMetrics
    ) {
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.dependencies = dependencies
        self.holds = holds
        self.pool = pool
        self.metrics = metrics
        self.upstreamAuthorization = Array("Authorization: Bearer \(configuration.upstreamKey)\r\n".utf8)
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
            millisecondsSinceEpoch: UInt64(millisecondsSinceEpoch),
            randomA: UInt16(truncatingIfNeeded: bits.0),
            randomB: bits.1)
    }

    // MARK: Running exchanges

    /// One timer per loop looks at all deadlines, instead of one timer per exchange.
    func startSweeping() {
        let selfOnLoop = NIOLoopBound(self, eventLoop: self.eventLoop)
        self.sweep = self.eventLoop.scheduleRepeatedTask(
            initialDelay: .milliseconds(250), delay: .milliseconds(250)
        ) { _ in selfOnLoop.value.checkDeadlines() }
    }

    private func checkDeadlines() {
        let now = NIODeadline.now()
        for exchange in Array(self.exchanges.values) { exchange.checkDeadline(now) }
    }

    func register(_ exchange: Exchange) { self.exchanges[ObjectIdentifier(exchange)] = exchange }

    func unregister(_ exchange: Exchange) { self.exchanges[ObjectIdentifier(exchange)] = nil }

    func register(_ connection: ClientConnection) {
        self.connections[ObjectIdentifier(connection)] = connection
        self.metrics.connectionsOpen.wrappingAdd(1, ordering: .relaxed)
    }

    func unregister(_ connection: ClientConnection) {
        guard self.connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        self.metrics.connectionsOpen.wrappingSubtract(1, ordering: .relaxed)
    }

    var exchangeCount: Int { self.exchanges.count }

    // MARK: Shutting down

    /// No new exchanges; idle connections close, busy ones after their reply.
    func beginDraining() {
        self.isDraining = true
        for connection in Array(self.connections.values) { connection.quiesce() }
    }

    /// Ends whatever still runs; every exchange is settled with what it knows.
    func stopNow() {
        for exchange in Array(self.exchanges.values) { exchange.shutDown() }
        for connection in Array(self.connections.values) { connection.abort() }
        self.sweep?.cancel()
        self.pool.shutdown()
    }
}

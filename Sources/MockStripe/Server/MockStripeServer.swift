import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// A running mock: API, pages, control paths and webhook deliveries.
public final class MockStripeServer: Sendable {
    public let port: Int
    private let host: String
    private let shared: SharedWorld
    private let group: ServiceGroup
    private let serving: Task<Void, any Error>

    private init(
        port: Int, host: String, shared: SharedWorld, group: ServiceGroup, serving: Task<Void, any Error>
    ) {
        self.port = port
        self.host = host
        self.shared = shared
        self.group = group
        self.serving = serving
    }

    /// Listens when it returns. To be ended with `shutdown`.
    public static func start(
        _ configuration: Configuration = Configuration(), on eventLoops: any EventLoopGroup
    ) async throws -> MockStripeServer {
        var logger = Logger(label: "mock-stripe")
        logger.logLevel = .error
        let shared = SharedWorld(StripeWorld(configuration.settings), now: Self.wallMilliseconds)
        for webhook in configuration.webhooks { shared.addWebhook(webhook) }
        let listening = eventLoops.next().makePromise(of: Int.self)
        let application = Application(
            responder: MockStripeResponder(shared: shared, hangSeconds: configuration.hangSeconds),
            configuration: .init(
                address: .hostname(configuration.host, port: configuration.port), serverName: "mock-stripe"),
            onServerRunning: { channel in
                let port = channel.localAddress?.port ?? 0
                shared.listens(at: "http://\(configuration.host):\(port)")
                listening.succeed(port)
            },
            eventLoopGroupProvider: .shared(eventLoops), logger: logger)
        let runner = DeliveryRunner(
            shared: shared,
            client: WebhookClient(
                group: eventLoops, timeout: .seconds(Int64(configuration.deliveryTimeoutSeconds))))
        let group = ServiceGroup(
            configuration: .init(services: [application, runner], logger: logger))
        // SAFETY: ended and awaited by `shutdown`; everything in it is Sendable.
        let serving = Task {
            do { try await group.run() } catch {
                // No effect when it listens already.
                listening.fail(error)
                throw error
            }
        }
        let port = try await listening.futureResult.get()
        return MockStripeServer(
            port: port, host: configuration.host, shared: shared, group: group, serving: serving)
    }

    /// `http://HOST:PORT`, as `STRIPE_API_BASE` wants it.
    public var baseURL: String { "http://\(self.host):\(self.port)" }

    /// From now on events go there too.
    public func addWebhook(_ webhook: Webhook) { self.shared.addWebhook(webhook) }

    /// Stops listening and delivering. What was not delivered is lost with the world.
    public func shutdown() async throws {
        self.shared.stop()
        await self.group.triggerGracefulShutdown()
        try await self.serving.value
    }

    @Sendable private static func wallMilliseconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
    }
}

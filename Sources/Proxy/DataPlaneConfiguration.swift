import Metering
import NIOCore

/// Everything about the data plane that configuration decides. Values; defaults are visible here.
public struct DataPlaneConfiguration: Sendable {
    public var listenHost = "127.0.0.1"
    /// 0: any free port.
    public var listenPort = 8080
    public var upstream: UpstreamOrigin
    /// The operator's key; never sent anywhere but upstream.
    public var upstreamKey: String
    /// PEM file of additional trusted roots for the upstream connection.
    public var upstreamCAFile: String?
    /// Prefix of `redirectTo` in the 402 of `/v1/*`, without a trailing slash.
    public var publicURL: String
    /// Owner of this process' holds.
    public var boot: BootID
    /// `BILLING_ON_DISCONNECT`; a model's row may say otherwise.
    public var onDisconnect: DisconnectPolicy = .cancel
    public var caps: SpendCaps = .none
    public var limits = Limits()
    public var timeouts = Timeouts()

    public struct Limits: Sendable {
        /// JSON bodies of the data plane (CONTRACT §4).
        public var jsonBodyBytesMax = 20 << 20
        /// Bodies of the control plane.
        public var controlBodyBytesMax = 1 << 20
        /// Bytes of further, pipelined requests kept while one is being answered; more are left in the
        /// socket.
        public var pipelinedBytesMax = 64 << 10
        /// A whole reply up to this size is held until its charge is known, so that it can be told in a
        /// header.
        public var gatheredReplyBytesMax = 1 << 20
        /// Of an upstream error no more than this is read.
        public var errorReplyBytesMax = 64 << 10
        /// Fewer affordable output tokens than this per choice are of no use: 402 (CONTRACT §4).
        public var leastOutputTokens: Int64 = 16

        public init() {}
    }

    public struct Timeouts: Sendable {
        /// From the request being sent to the head of the response.
        public var upstreamHead: TimeAmount = .seconds(600)
        /// Between two reads of a response.
        public var upstreamIdle: TimeAmount = .seconds(120)
        /// How long a response is read on after the client has gone.
        public var drain: TimeAmount = .seconds(300)
        /// How long running exchanges may go on after the server was told to stop.
        public var shutdown: TimeAmount = .seconds(30)

        public init() {}
    }

    public init(upstream: UpstreamOrigin, upstreamKey: String, publicURL: String, boot: BootID) {
        self.upstream = upstream
        self.upstreamKey = upstreamKey
        self.publicURL = publicURL
        self.boot = boot
    }
}

/// The peers of the data plane, known only by their ports.
public struct DataPlaneDependencies: Sendable {
    public var directory: any AccountDirectory
    public var prices: any PriceSource
    public var settlements: any SettlementSink
    public var keyHasher: KeyHasher
    /// Makes the hold session of one event loop.
    public var makeHolds: @Sendable (any EventLoop) async throws -> any HoldSession
    public var control: any ControlPlaneResponding

    public init(
        directory: any AccountDirectory, prices: any PriceSource, settlements: any SettlementSink,
        keyHasher: KeyHasher, makeHolds: @escaping @Sendable (any EventLoop) async throws -> any HoldSession,
        control: any ControlPlaneResponding
    ) {
        self.directory = directory
        self.prices = prices
        self.settlements = settlements
        self.keyHasher = keyHasher
        self.makeHolds = makeHolds
        self.control = control
    }
}

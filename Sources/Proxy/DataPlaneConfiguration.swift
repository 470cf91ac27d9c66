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
    /// `TLS_CERT`, `TLS_KEY`: terminate TLS here; the first pair serves names that no other one has. Empty: plain.
    public var certificates: [CertificatePair] = []
    /// `UPSTREAM_HTTP2`: use HTTP/2 when the upstream offers it.
    public var upstreamHTTP2 = true
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`; nil: the direct way.
    public var upstreamProxy: UpstreamProxy?
    /// Prefix of `redirectTo` in the 402 of `/v1/*`, without a trailing slash.
    public var publicURL: String
    /// Owner of this process' holds.
    public var boot: BootID
    /// `BILLING_ON_DISCONNECT`; a model's row may say otherwise.
    public var onDisconnect: DisconnectPolicy = .cancel
    /// Where neither the rate card nor the account says.
    public var holds: HoldPolicy = .full
    public var caps: SpendCaps = .none
    /// `RATE_LIMIT_KEY_*`, `RATE_LIMIT_ACCOUNT_*`: where the ledger says nothing else of a key or an account.
    public var keyLimits: RequestLimits = .none
    public var accountLimits: RequestLimits = .none
    /// `TRUSTED_PROXIES`: peers whose word on the client's address is taken.
    public var trustedPeers = TrustedPeers()
    public var limits = Limits()
    public var timeouts = Timeouts()
    public var tracing = Tracing.off

    /// What a peer may send or occupy. Every bound is on memory or on descriptors, so none is unlimited but where
    /// 0 says so.
    public struct Limits: Sendable {
        /// `MAX_HEAD_BYTES`: request line and fields, the blank line included.
        public var headBytesMax = 32 << 10
        /// `MAX_HEAD_FIELDS`
        public var headFieldsMax = 128
        /// `MAX_JSON_BODY_BYTES`: JSON bodies of the data plane (CONTRACT §4).
        public var jsonBodyBytesMax = 20 << 20
        /// `MAX_FORM_BODY_BYTES`: forms of the data plane: a file of 25 MiB, which is OpenAI's limit, and its fields.
        public var formBodyBytesMax = (25 << 20) + (64 << 10)
        /// `MAX_CONTROL_BODY_BYTES`: bodies of the control plane.
        public var controlBodyBytesMax = 1 << 20
        /// `MAX_RATE_CARD_BODY_BYTES`: rate cards, of 1 MiB at most, for each byte of which a browser sends up to three.
        public var rateCardBodyBytesMax = 4 << 20
        /// `MAX_BUFFERED_BODY_BYTES`: request bodies being collected, of all connections together.
        public var bufferedBodyBytesMax = 512 << 20
        /// `MAX_CONNECTIONS`: client connections; 0: what the descriptor limit allows.
        public var connectionsMax = 0
        /// `MAX_CONNECTIONS_PER_ADDRESS`: of one client address that is not a trusted peer; 0: no limit. nil: three
        /// quarters of `connectionsMax`, since one backend may well be the only client, but not keep all others out.
        public var connectionsPerAddressMax: Int?
        /// `MAX_OPEN_STREAMS`: exchanges at a time, waiting ones included.
        public var exchangesMax = 16384
        /// `MAX_UPSTREAM_CONNECTIONS`, of all loops together.
        public var upstreamConnectionsMax = 8192
        /// Bytes of further, pipelined requests kept while one is being answered; more are left in the
        /// socket.
        public var pipelinedBytesMax = 64 << 10
        /// Bytes of a refused body that are read and thrown away before the connection closes, so that the
        /// refusal is not lost in a reset.
        public var lingeringBytesMax = 32 << 20
        /// A whole reply up to this size is held until its charge is known, so that it can be told in a
        /// header.
        public var gatheredReplyBytesMax = 1 << 20
        /// `IDEMPOTENCY_REPLY_BYTES_MAX`: a larger body is not kept for retries with its `Idempotency-Key`.
        public var keptReplyBytesMax = 1 << 20
        /// Of an upstream error no more than this is read.
        public var errorReplyBytesMax = 64 << 10
        /// Fewer affordable output tokens than this per choice are of no use: 402 (CONTRACT §4).
        public var leastOutputTokens: Int64 = 16
        /// Output tokens per choice that a rolling hold sets aside at a time.
        public var rollingStepTokens: Int64 = 256

        public init() {}
    }

    public struct Timeouts: Sendable {
        /// `HEADER_TIMEOUT_SECONDS`: from the first byte of a request head, or from the accept, to its end.
        public var clientHead: TimeAmount = .seconds(10)
        /// `TLS_HANDSHAKE_TIMEOUT_SECONDS`
        public var tlsHandshake: TimeAmount = .seconds(10)
        /// `BODY_TIMEOUT_SECONDS`: between two reads of a request body.
        public var clientBody: TimeAmount = .seconds(30)
        /// `BODY_TOTAL_TIMEOUT_SECONDS`: a whole request body, however steadily it drips.
        public var clientBodyTotal: TimeAmount = .seconds(300)
        /// `KEEPALIVE_TIMEOUT_SECONDS`: between a reply and the next request of a connection.
        public var keepAlive: TimeAmount = .seconds(75)
        /// `CLIENT_WRITE_TIMEOUT_SECONDS`: how long a client may take nothing of a reply that waits for it.
        public var clientWrite: TimeAmount = .seconds(120)
        /// How long a connection is read on after a refusal, for the client to see it.
        public var lingering: TimeAmount = .seconds(5)
        /// `UPSTREAM_CONNECT_TIMEOUT_SECONDS`: TCP, proxy and TLS together.
        public var upstreamConnect: TimeAmount = .seconds(10)
        /// `UPSTREAM_HEAD_TIMEOUT_SECONDS`: from the request being sent to the head of the response.
        public var upstreamHead: TimeAmount = .seconds(600)
        /// `UPSTREAM_IDLE_TIMEOUT_SECONDS`: between two reads of a response.
        public var upstreamIdle: TimeAmount = .seconds(120)
        /// `UPSTREAM_KEEPALIVE_SECONDS`: an upstream connection idle for longer is not used again.
        public var upstreamKeepAlive: TimeAmount = .seconds(30)
        /// `EXCHANGE_TIMEOUT_SECONDS`: a whole exchange.
        public var exchange: TimeAmount = .seconds(3600)
        /// `DRAIN_TIMEOUT_SECONDS`: how long a response is read on after the client has gone.
        public var drain: TimeAmount = .seconds(300)
        /// How often the lease of an `Idempotency-Key` is renewed; a third of the lease.
        public var idempotencyRenewal: TimeAmount = .seconds(20)
        /// `SHUTDOWN_DELAY_SECONDS`: how long everything is still served, not ready, before the listener closes.
        public var shutdownDelay: TimeAmount = .zero
        /// For how long connections that are open when the listener closes may bring one last request.
        public var lastRequests: TimeAmount = .seconds(1)
        /// `SHUTDOWN_TIMEOUT_SECONDS`: how long running exchanges may go on after that.
        public var shutdown: TimeAmount = .seconds(30)

        public init() {}
    }

    /// One PEM certificate chain with its private key.
    public struct CertificatePair: Sendable, Equatable {
        public var certificateFile: String
        public var keyFile: String

        public init(certificateFile: String, keyFile: String) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
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
    /// What an operator changes while we run.
    public var controls: any ControlSource
    public var settlements: any SettlementSink
    public var keyHasher: KeyHasher
    /// Makes the hold session of one event loop.
    public var makeHolds: @Sendable (any EventLoop) async throws -> any HoldSession
    public var control: any ControlPlaneResponding
    public var accessLog: AccessLog
    /// Time of hold ids and settlements; somebody tells it what the ledger's clock says.
    public var clock: LedgerClock
    /// By which the texts of requests are counted.
    public var encodings: EncodingTables
    /// Whose the responses are that upstream keeps.
    public var responses: any ResponseOwners
    /// Replies to requests with an `Idempotency-Key`.
    public var replies: any ReplyKeeping

    public init(
        directory: any AccountDirectory, prices: any PriceSource,
        controls: any ControlSource = FixedControls(), settlements: any SettlementSink,
        keyHasher: KeyHasher, makeHolds: @escaping @Sendable (any EventLoop) async throws -> any HoldSession,
        control: any ControlPlaneResponding, accessLog: AccessLog, clock: LedgerClock = LedgerClock(),
        encodings: EncodingTables = EncodingTables(), responses: any ResponseOwners,
        replies: any ReplyKeeping = NoReplyKeeping()
    ) {
        self.directory = directory
        self.prices = prices
        self.controls = controls
        self.settlements = settlements
        self.keyHasher = keyHasher
        self.makeHolds = makeHolds
        self.control = control
        self.accessLog = accessLog
        self.clock = clock
        self.encodings = encodings
        self.responses = responses
        self.replies = replies
    }
}

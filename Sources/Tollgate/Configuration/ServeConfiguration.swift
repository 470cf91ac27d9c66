import Metering
import Proxy

/// Everything `serve` reads from its environment (CONTRACT §3), checked before a port is bound.
struct ServeConfiguration: Sendable {
    var databaseURL: Secret
    /// Migrations and LISTEN, when `DATABASE_URL` goes through a transaction pooler.
    var databaseDirectURL: Secret
    var redisURL: Secret
    var secrets: RotatingSecrets
    var upstream: UpstreamOrigin
    var upstreamCAFile: String?
    var listen: ListenAddress
    var opsListen: ListenAddress
    var publicURL: String
    var corsOrigins: [String]
    var roundingMode: RoundingMode
    var caps: SpendCaps
    var requestLimits: RequestLimitSettings
    var onDisconnect: DisconnectPolicy
    var holds: HoldPolicy
    /// Output tokens.
    var holdStepTokens: Int64
    var limits: DataPlaneConfiguration.Limits
    var timeouts: DataPlaneConfiguration.Timeouts
    /// Empty: the listener is plain.
    var certificates: [DataPlaneConfiguration.CertificatePair]
    var trustedPeers: TrustedPeers
    var accessLog: AccessLog.Destination
    var upstreamHTTP2: Bool
    var upstreamProxy: UpstreamProxy?
    /// Event loops of the data plane.
    var threads: Int
    var moneyPath: MoneyPathSettings
    var idempotency: IdempotencySettings
    /// Start values of what can be changed at run time.
    var controls: Controls
    var stripe: StripeSettings
    var statements: StatementSettings
    var portal: PortalSettings
    var logs: LogSettings
    var traces: TraceSettings
    /// Vocabularies, and the tables that are made of them.
    var tokenizerDirectory: String

    static let defaultOpenAIBaseURL = "https://api.openai.com/v1"

    /// - Parameter descriptors: how many this process may have open; limits that are not set follow from it.
    /// - Throws: `BadConfiguration` with every problem found.
    init(reading reader: SettingsReader, descriptors: Int) throws {
        var reader = reader
        self.databaseURL = reader.requiredSecret("DATABASE_URL", "the ledger, postgresql://…")
        self.databaseDirectURL = reader.secret("DATABASE_DIRECT_URL") ?? self.databaseURL
        self.redisURL = reader.requiredSecret("REDIS_URL", "the hold store, redis://… or rediss://…")
        Self.checkScheme(&reader, "DATABASE_URL", self.databaseURL, ["postgresql", "postgres"])
        Self.checkScheme(&reader, "REDIS_URL", self.redisURL, ["redis", "rediss"])
        self.secrets = RotatingSecrets(&reader)
        self.upstream = Self.origin(&reader)
        self.upstreamCAFile = reader.text("OPENAI_CA_FILE")
        self.listen = reader.listenAddress("LISTEN", default: "127.0.0.1:8080")
        self.opsListen = reader.listenAddress("OPS_LISTEN", default: "127.0.0.1:9090")
        self.certificates = DataPlaneSettings.certificates(&reader)
        self.publicURL = Self.publicURL(
            &reader, listen: self.listen, scheme: self.certificates.isEmpty ? "http" : "https")
        self.corsOrigins = Self.origins(&reader)
        self.roundingMode = reader.choice("BILLING_ROUNDING_MODE", default: .exact)
        self.onDisconnect = reader.choice("BILLING_ON_DISCONNECT", default: .cancel)
        self.holds = reader.choice("BILLING_HOLDS", default: .full)
        self.holdStepTokens = reader.integer("BILLING_HOLD_STEP_TOKENS", in: 16...100_000) ?? 256
        self.caps = SpendCaps(
            request: Self.cap(&reader, "BILLING_SINGLE_REQUEST_CAP"),
            session: Self.cap(&reader, "BILLING_SESSION_CAP"), day: Self.cap(&reader, "BILLING_DAILY_CAP"))
        self.requestLimits = RequestLimitSettings(&reader)
        self.limits = DataPlaneSettings.limits(&reader, descriptors: descriptors)
        self.timeouts = DataPlaneSettings.timeouts(&reader)
        self.trustedPeers = DataPlaneSettings.trustedPeers(&reader)
        self.accessLog = AccessLog.Destination(reader.text("ACCESS_LOG") ?? "-")
        self.upstreamHTTP2 = reader.flag("UPSTREAM_HTTP2", default: true)
        self.upstreamProxy = DataPlaneSettings.upstreamProxy(&reader, to: self.upstream)
        self.threads = Int(reader.integer("TOLLGATE_THREADS", in: 1...256) ?? Int64(Self.defaultThreads))
        self.moneyPath = MoneyPathSettings(&reader)
        self.idempotency = IdempotencySettings(&reader)
        self.controls = Controls(&reader)
        self.stripe = StripeSettings(&reader, recharges: self.controls.autoRecharge)
        self.secrets.signingSecrets = self.stripe.signingSecrets
        self.statements = StatementSettings(&reader)
        self.portal = PortalSettings(&reader, stripe: self.stripe.base)
        if case .secrets(let secrets) = self.portal.appTokens?.keys { self.secrets.appTokenSecrets = secrets }
        self.logs = LogSettings(&reader)
        self.traces = TraceSettings(&reader)
        self.tokenizerDirectory = Self.tokenizerDirectory(&reader)
        guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
    }

    static func tokenizerDirectory(_ reader: inout SettingsReader) -> String {
        reader.text("TOKENIZER_DIR") ?? "var/tokenizer"
    }

    static var defaultThreads: Int { System.coreCount }

    private static func checkScheme(
        _ reader: inout SettingsReader, _ name: String, _ url: Secret, _ schemes: [String]
    ) {
        guard !url.value.isEmpty, !schemes.contains(where: { url.value.hasPrefix($0 + "://") }) else {
            return
        }
        reader.reject(name, "must begin with \(schemes.map { $0 + "://" }.joined(separator: " or "))")
    }

    private static func origin(_ reader: inout SettingsReader) -> UpstreamOrigin {
        let text = reader.text("OPENAI_BASE_URL") ?? Self.defaultOpenAIBaseURL
        do {
            return try UpstreamOrigin.parse(text)
        } catch {
            reader.reject("OPENAI_BASE_URL", "\(error)")
            return Self.placeholderOrigin
        }
    }

    /// Stands in while the other settings are looked at; the problem is already recorded.
    private static var placeholderOrigin: UpstreamOrigin {
        guard let origin = try? UpstreamOrigin.parse(Self.defaultOpenAIBaseURL) else {
            preconditionFailure("the default base URL is well formed")
        }
        return origin
    }

    static func publicURL(
        _ reader: inout SettingsReader, listen: ListenAddress, scheme: String
    ) -> String {
        guard var url = reader.text("PUBLIC_URL") else { return "\(scheme)://\(listen)" }
        while url.hasSuffix("/") { url.removeLast() }
        if !url.hasPrefix("http://") && !url.hasPrefix("https://") {
            reader.reject("PUBLIC_URL", "must begin with https:// or http://")
        }
        return url
    }

    private static func origins(_ reader: inout SettingsReader) -> [String] {
        let origins = (reader.text("CORS_ORIGINS") ?? "").split(separator: ",").map {
            String($0.trimmingBlanks)
        }
        for origin in origins {
            let afterScheme = origin.hasPrefix("https://") ? origin.dropFirst(8) : origin.dropFirst(7)
            if !(origin.hasPrefix("https://") || origin.hasPrefix("http://")) || afterScheme.isEmpty
                || afterScheme.contains("/") || afterScheme.contains("*")
            {
                reader.reject("CORS_ORIGINS", "'\(origin)' is not an exact origin (scheme://host[:port])")
            }
        }
        return origins
    }

    private static func cap(_ reader: inout SettingsReader, _ name: String) -> Millicredits? {
        reader.integer(name, in: 1...Millicredits.chargeMax.value).map { Millicredits($0) }
    }
}

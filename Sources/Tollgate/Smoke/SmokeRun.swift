import Logging
import Metering
import StripeAPI

/// One smoke test on its way through the list: what earlier checks found is what later ones work with.
struct SmokeRun {
    struct Purchase {
        var id: String
        var session: String
        /// Set when it was paid by a test card.
        var payment: String?
    }

    /// A metered call that was answered.
    struct Exchange {
        var hold: String
        var key: String
        var body: String
        var inputTokens: Int64
        var cachedTokens: Int64
        var outputTokens: Int64
        /// What the rate card asks for it.
        var charge: Int64
        /// Of the account, before it.
        var balance: Int64
    }

    let settings: SmokeSettings
    let deployment: SmokeDeployment
    let stripe: StripeClient?
    let startedAt: Int64
    let user: String
    let poorUser: String
    var summary: JSONReading?
    var purchase: Purchase?
    var isPaid = false
    var exchange: Exchange?
    /// false: the very first request had no reply.
    var wasReached = true
    /// Users that exist because of this run.
    var made: [String] = []

    init(_ settings: SmokeSettings, http: OutboundHTTP) {
        self.settings = settings
        self.deployment = SmokeDeployment(
            http: http, base: settings.base, adminToken: settings.adminToken, serviceKey: settings.serviceKey)
        self.stripe = settings.stripe.map {
            StripeClient(
                http: http, base: $0.base, key: $0.key, userAgent: "Tollgate/\(Version.text)",
                logger: Logger(label: "tollgate.smoke", factory: { _ in SwiftLogNoOpLogHandler() }))
        }
        self.startedAt = Clock.wallMilliseconds() / 1000
        let name = "smoke-" + Self.randomText()
        self.user = name
        self.poorUser = name + "-poor"
    }

    /// - Returns: what was seen, where that is of interest.
    /// - Throws: `SmokeStop`.
    mutating func run(_ check: SmokeCheck) async throws -> String? {
        switch check {
        case .health: try await self.health()
        case .ready: try await self.ready()
        case .headers: try await self.headers()
        case .cors: try await self.crossOrigin()
        case .unauthorized: try await self.unauthorized()
        case .summary: try await self.adminSummary()
        case .packages: try self.demand(SmokeExpectations.packages(self.summary ?? .null))
        case .rates:
            try self.demand(
                SmokeExpectations.rates(
                    self.summary ?? .null, models: [self.settings.model, self.settings.costlyModel]))
        case .user: try await self.newUser()
        case .checkout: try await self.checkOut()
        case .grant: try await self.pay()
        case .webhook: try await self.repeatEvent()
        case .call: try await self.call()
        case .usage: try await self.usageOfCall()
        case .ledger: try await self.ledgerOfCall()
        case .retry: try await self.retry()
        case .stream: try await self.stream()
        case .insufficient: try await self.insufficient()
        case .books: try await self.books()
        case .cleanup: try await self.cleanUp()
        }
    }

    // MARK: For the checks

    func demand(_ problem: String?) throws -> String? {
        if let problem { throw SmokeStop.failed(problem) }
        return nil
    }

    /// Looks until there is something to see, or `settings.wait` is over.
    func eventually<Value>(_ problem: String, _ look: () async throws -> Value?) async throws -> Value {
        let end = ContinuousClock.now + self.settings.wait
        while true {
            if let value = try await look() { return value }
            guard ContinuousClock.now < end else {
                throw SmokeStop.failed("\(problem) within \(self.settings.wait.components.seconds) s")
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    func summary(of user: String) async throws -> JSONReading {
        let reply = try await self.deployment.get("/api/billing/summary", as: .user(user))
        return try self.deployment.json(reply, "the summary of a user")
    }

    /// Millicredits.
    func balance(of user: String) async throws -> Int64 {
        guard let balance = try await self.summary(of: user)["balanceMillicredits"]?.integerText else {
            throw SmokeStop.failed("'balanceMillicredits' of a user is not a whole number in a string")
        }
        return balance
    }

    /// All entries of a list, page by page.
    func entries(_ path: String, of user: String) async throws -> [JSONReading] {
        var entries: [JSONReading] = []
        var cursor: String?
        for _ in 0..<100 {
            let target = path + "?limit=500" + (cursor.map { "&cursor=" + $0 } ?? "")
            let page = try self.deployment.json(
                try await self.deployment.get(target, as: .user(user)), "GET \(path)")
            guard let found = page["entries"]?.list else {
                throw SmokeStop.failed("\(path) has no 'entries'")
            }
            entries += found
            cursor = page["nextCursor"]?.text
            guard cursor != nil else { return entries }
        }
        throw SmokeStop.failed("\(path) does not come to an end")
    }

    static func randomText() -> String {
        var random = SystemRandomNumberGenerator()
        return String(random.next() as UInt64, radix: 36)
    }
}

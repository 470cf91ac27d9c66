import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Metering
import Testing

@testable import ControlPlane

/// A directory and a ledger of two users, in memory.
struct FakeBackends: AccountDirectory, BillingReading, HeldReading, PriceSource {
    static let hasher = KeyHasher(peppers: [[UInt8](repeating: 7, count: 32)])
    static let adminToken = String(repeating: "A", count: 32)

    static func digest(_ key: String) -> KeyDigest {
        Array(key.utf8).withUnsafeBytes { self.hasher.digest($0) }
    }

    let accounts = [
        AccountRecord(account: 1, userID: "ann", suspended: false),
        AccountRecord(account: 2, userID: "bob", suspended: false),
        AccountRecord(account: 3, userID: "admin", suspended: false),
    ]
    var heldKnown = true

    func cachedKey(_ digest: KeyDigest) -> KeyRecord? {
        if digest == Self.digest("tg_ann") { return KeyRecord(keyID: 1, holder: .account(1), label: "ann") }
        if digest == Self.digest("tg_service") { return KeyRecord(keyID: 2, holder: .service, label: "app") }
        return nil
    }
    func cachedAccount(_ account: AccountID) -> AccountRecord? {
        self.accounts.first { $0.account == account }
    }
    func cachedAccount(userID: String) -> AccountRecord? { self.accounts.first { $0.userID == userID } }
    func resolveKey(
        _ digest: KeyDigest, reply: @escaping @Sendable (Result<KeyRecord?, DirectoryFailure>) -> Void
    ) { reply(digest == Self.digest("tg_outage") ? .failure(.unreachable) : .success(nil)) }
    func resolveAccount(
        _ account: AccountID, reply: @escaping @Sendable (Result<AccountRecord?, DirectoryFailure>) -> Void
    ) { reply(.success(nil)) }
    func findAccount(
        userID: String, reply: @escaping @Sendable (Result<AccountRecord?, DirectoryFailure>) -> Void
    ) { reply(.success(nil)) }
    func findOrCreateAccount(
        userID: String, reply: @escaping @Sendable (Result<AccountRecord, DirectoryFailure>) -> Void
    ) { reply(.success(AccountRecord(account: 9, userID: userID, suspended: false))) }

    func summary(of account: AccountID) async throws -> AccountSummary? {
        AccountSummary(
            userID: "user-\(account)",
            balance: LedgerBalance(
                account: account, generation: 1, version: 4, balance: Millicredits(account * 1000 + 720)),
            gate: AccountGate(account: account, version: 1, floor: Millicredits(-100), blocked: false),
            recentLedger: [], recentUsage: [])
    }
    func usage(_ query: UsageQuery) async throws -> [UsageLine] { [] }
    func packages() async throws -> [CreditPackage] {
        [
            CreditPackage(
                code: "starter", version: 1, name: "S\"x", priceUSDCents: 999, credits: 9990, bonusCredits: 0)
        ]
    }
    func held(of account: AccountID) async -> Millicredits? { self.heldKnown ? Millicredits(20) : nil }

    /// The runbook's gpt-4o-mini: 2.4 and 9.6 credits per 1K tokens.
    var current: PriceTable {
        let rates = TokenRates(
            input: 2_400_000_000_000, cachedInput: 2_400_000_000_000, cacheWrite: 2_400_000_000_000,
            output: 9_600_000_000_000)
        return PriceTable(
            version: "scholarlink@1", mode: .exact,
            rows: [
                ModelPrice(
                    priceID: "scholarlink@1/gpt-4o-mini", model: "gpt-4o-mini", endpoints: [.chat],
                    context: 128_000,
                    outputMax: 16_384, tiers: [.default: TierPrice(cost: rates, price: rates)],
                    longContext: nil,
                    onDisconnect: nil)
            ])
    }
}

/// The billing API of CONTRACT §5, route by route.
@Suite struct BillingAPITests {
    func withClient(
        _ backends: FakeBackends = FakeBackends(), ready: Bool = true,
        _ body: @escaping @Sendable (any TestClientProtocol) async throws -> Void
    ) async throws {
        let router = ControlPlane.router(
            .init(
                version: "1.2.3", adminTokens: ["B" + FakeBackends.adminToken, FakeBackends.adminToken],
                corsOrigins: ["https://app.example"],
                sessionSecrets: ControlRig.sessionSecrets, isSecure: true),
            .init(
                directory: backends, keyHasher: FakeBackends.hasher, prices: backends, billing: backends,
                held: backends, readiness: { [Readiness("ledger", isReady: ready)] }, checkouts: FakeDesk(),
                webhooks: FakeDesk(), history: FakeHistory(), statements: FakePrinter(),
                recharges: FakeRecharges(),
                refunds: FakeMoneyBack(), records: FakeMoneyBack(),
                admin: FakeAdmin.ports(staff: FakeStaff())))
        try await Application(router: router).test(.router, body)
    }

    func headers(_ token: String?, user: String? = nil) -> HTTPFields {
        var fields = HTTPFields()
        if let token { fields[.authorization] = "Bearer " + token }
        if let user, let name = HTTPField.Name("X-Tollgate-User") { fields[name] = user }
        return fields
    }

    @Test func healthAndReadiness() async throws {
        try await self.withClient { client in
            try await client.execute(uri: "/api/health", method: .get) { #expect($0.status == .ok) }
            try await client.execute(uri: "/api/ready", method: .get) { #expect($0.status == .ok) }
        }
        try await self.withClient(ready: false) { client in
            try await client.execute(uri: "/api/ready", method: .get) {
                #expect(
                    $0.status == .serviceUnavailable
                        && String(buffer: $0.body).contains("\"ledger\":\"unavailable\""))
            }
        }
    }

    @Test func aUserSeesItsOwnMoneyExactly() async throws {
        try await self.withClient { client in
            try await client.execute(
                uri: "/api/billing/summary", method: .get, headers: self.headers("tg_ann")
            ) {
                let body = String(buffer: $0.body)
                #expect($0.status == .ok && $0.headers[.cacheControl] == "no-store")
                #expect(
                    body.hasPrefix(
                        "{\"balanceMillicredits\":\"1720\",\"balanceCredits\":1.72,\"balanceUsd\":0.00172,"
                            + "\"heldMillicredits\":\"20\",\"heldKnown\":true,\"availableMillicredits\":\"1800\","
                            + "\"packages\":[{\"code\":\"starter\",\"name\":\"S\\\"x\",\"priceUsdCents\":999")
                )
                #expect(
                    body.contains("\"inputCreditsPer1k\":\"2.4\"")
                        && body.contains("\"outputCreditsPer1k\":\"9.6\""))
            }
        }
    }

    @Test(
        arguments: [
            (nil, nil, 401), ("nonsense", nil, 401), ("tg_unknown", nil, 401), ("tg_ann", "bob", 403),
            ("tg_ann", "ann", 200), ("tg_service", nil, 400), ("tg_service", "bob", 200),
            ("tg_outage", nil, 503),
            (FakeBackends.adminToken, nil, 200), (FakeBackends.adminToken + "x", nil, 401),
            (String(FakeBackends.adminToken.dropLast()), nil, 401),
        ] as [(String?, String?, Int)])
    func credentialsDecide(token: String?, user: String?, status: Int) async throws {
        try await self.withClient { client in
            let headers = self.headers(token, user: user)
            try await client.execute(uri: "/api/billing/summary", method: .get, headers: headers) {
                #expect($0.status.code == status, "\(String(buffer: $0.body))")
            }
        }
    }

    @Test func anAdminNamesAUserOrSeesTheInternalAccount() async throws {
        try await self.withClient { client in
            for (uri, balance) in [
                ("/api/billing/summary", "3720"), ("/api/billing/summary?userId=bob", "2720"),
            ] {
                try await client.execute(
                    uri: uri, method: .get, headers: self.headers(FakeBackends.adminToken)
                ) {
                    #expect(String(buffer: $0.body).contains("\"balanceMillicredits\":\"\(balance)\""))
                }
            }
        }
    }

    @Test func anUnreadableHoldStoreIsSaid() async throws {
        var backends = FakeBackends()
        backends.heldKnown = false
        try await self.withClient(backends) { client in
            try await client.execute(
                uri: "/api/billing/summary", method: .get, headers: self.headers("tg_ann")
            ) {
                #expect($0.status == .ok && String(buffer: $0.body).contains("\"heldKnown\":false"))
            }
        }
    }

    @Test(arguments: [
        (
            "{\"model\":\"gpt-4o-mini\",\"inputTokens\":750,\"outputTokens\":200}", 200,
            "\"millicredits\":\"3720\",\"credits\":3.72"
        ),
        (
            "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"content\":\"0123456789\"}],\"maxOutputTokens\":1}",
            200, "\"estimated\":true"
        ),
        ("{\"model\":\"gpt-4o-mini\"}", 400, "\"param\":\"inputTokens\""),
        ("{\"model\":\"gpt-4o-mini\",\"inputTokens\":-1}", 400, "\"param\":\"inputTokens\""),
        ("{\"model\":\"gpt-4o-mini\",\"inputTokens\":\"x\"}", 400, "\"param\":\"inputTokens\""),
        (
            "{\"model\":\"gpt-4o-mini\",\"inputTokens\":1,\"cachedInputTokens\":2}", 400,
            "\"param\":\"cachedInputTokens\""
        ),
        ("{\"inputTokens\":1}", 400, "\"param\":\"model\""), ("{", 400, "invalid_json"),
        ("", 400, "invalid_json"),
        ("{\"model\":\"nope\",\"inputTokens\":1}", 404, "model_not_priced"),
    ])
    func estimates(body: String, status: Int, expected: String) async throws {
        try await self.withClient { client in
            try await client.execute(
                uri: "/api/billing/estimate", method: .post, headers: self.headers("tg_ann"),
                body: ByteBuffer(string: body)
            ) {
                #expect(
                    $0.status.code == status && String(buffer: $0.body).contains(expected),
                    "\(String(buffer: $0.body))")
            }
        }
    }

    @Test func errorsAreJSONAndTellNothingInternal() async throws {
        try await self.withClient { client in
            try await client.execute(uri: "/api/nothing", method: .get) {
                #expect($0.status == .notFound && $0.headers[.contentType] == "application/json")
            }
            try await client.execute(uri: "/api/billing/estimate", method: .get) {
                #expect($0.status == .methodNotAllowed && $0.headers[.allow] == "POST")
            }
        }
    }

    @Test func onlyExactOriginsMayCallFromABrowser() async throws {
        try await self.withClient { client in
            for (origin, allowed) in [("https://app.example", true), ("https://app.example.evil", false)] {
                try await client.execute(uri: "/api/health", method: .get, headers: [.origin: origin]) {
                    #expect(($0.headers[.accessControlAllowOrigin] == origin) == allowed)
                }
            }
        }
    }
}

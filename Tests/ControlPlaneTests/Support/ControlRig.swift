import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Metering
import Testing

@testable import ControlPlane

/// A control plane on a `FakeLedger`.
struct ControlRig: Sendable {
    static let adminToken = "admin-token-0123456789abcdef0123456789"
    static let oldAdminToken = "older-admin-token-0123456789abcdef0123"
    static let origin = "https://app.example"

    static let sessionSecrets = [
        "session-secret-0123456789abcdef01234567", "older-session-secret-0123456789abcd",
    ]

    let ledger: FakeLedger
    let metrics = ControlMetrics()
    let staff = FakeStaff()
    let admin = FakeAdmin()
    private let settings: ControlPlane.Settings
    private var dependencies: ControlPlane.Dependencies

    init(
        mode: RoundingMode = .exact, readiness: [Readiness] = [Readiness("ledger", isReady: true)],
        encodings: EncodingTables = EncodingTables(), desk: FakeDesk = FakeDesk(),
        history: FakeHistory = FakeHistory(),
        printer: FakePrinter = FakePrinter(),
        recharges: FakeRecharges = FakeRecharges(),
        back: FakeMoneyBack = FakeMoneyBack(), portal: PortalParts? = nil
    ) {
        let hasher = KeyHasher(peppers: [[UInt8](repeating: 7, count: 32), [UInt8](repeating: 8, count: 32)])
        let ledger = FakeLedger(hasher: hasher)
        self.ledger = ledger
        self.settings = .init(
            version: "1.2.3", adminTokens: [Self.adminToken, Self.oldAdminToken], corsOrigins: [Self.origin],
            sessionSecrets: Self.sessionSecrets, isSecure: portal?.site.isSecure ?? true,
            caps: SpendCaps(session: Millicredits(10_000), day: Millicredits(1_000_000)))
        self.dependencies = .init(
            directory: ledger, keyHasher: hasher, prices: FixedPrices(mode), billing: ledger, held: ledger,
            readiness: { readiness }, encodings: encodings, checkouts: desk, webhooks: desk,
            history: history, statements: printer,
            recharges: recharges,
            refunds: back, records: back, admin: FakeAdmin.ports(staff: self.staff, self.admin),
            metrics: self.metrics, portal: portal)
        // Its own: the process' threads have places for eighteen, and more tests than that sign in at once.
        self.dependencies.passwordWork = SlowWork(threads: 1, waitingMax: 16)
    }

    var router: Router<ControlContext> { ControlPlane.router(self.settings, self.dependencies) }

    func get(_ target: String, _ token: String? = nil, user: String? = nil) async throws -> Reply {
        try await self.send(.get, target, token, user: user)
    }

    func estimate(_ body: String, _ token: String? = FakeLedger.adaKey) async throws -> Reply {
        try await self.send(.post, "/api/billing/estimate", token, body: body)
    }

    func send(
        _ method: HTTPRequest.Method, _ target: String, _ token: String? = nil, user: String? = nil,
        fields: HTTPFields = [:], body: String? = nil
    ) async throws -> Reply {
        var fields = fields
        if let token { fields[.authorization] = "Bearer \(token)" }
        if let user { fields[.tollgateUser] = user }
        return try await Reply.of(
            self.router, method, target, fields, body.map { ByteBuffer(string: $0) })
    }
}

/// What a client sees.
struct Reply: Sendable {
    var status: Int
    var headers: HTTPFields
    var text: String

    static func of(
        _ router: Router<ControlContext>, _ method: HTTPRequest.Method, _ target: String,
        _ fields: HTTPFields = [:], _ body: ByteBuffer? = nil
    ) async throws -> Reply {
        try await Application(router: router).test(.router) { client in
            try await client.execute(uri: target, method: method, headers: fields, body: body) {
                Reply(status: $0.status.code, headers: $0.headers, text: String(buffer: $0.body))
            }
        }
    }

    /// The body as an object. Numbers lose their text here; look at `text` for exactness.
    func object(_ location: SourceLocation = #_sourceLocation) throws -> [String: Any] {
        let json = try JSONSerialization.jsonObject(with: Data(self.text.utf8))
        return try #require(json as? [String: Any], sourceLocation: location)
    }

    func string(_ name: String, _ location: SourceLocation = #_sourceLocation) throws -> String? {
        try self.object(location)[name] as? String
    }
}

import StripeAPI
import Testing

@testable import Tollgate

/// Whoever gets in by a token is decided by settings: a wrong one is found before anything starts.
@Suite struct PortalSettingsTests {
    private static let secret = String(repeating: "s", count: 32)
    private static let names = [
        "PORTAL_JWT_ISSUER": "https://app.example", "PORTAL_JWT_AUDIENCE": "tollgate",
    ]

    private static func read(
        _ values: [String: String], stripe: String = StripeClient.defaultBase
    ) throws -> (PortalSettings, [String]) {
        var reader = SettingsReader(get: { values[$0] }, readFile: { _ in "" })
        let settings = PortalSettings(&reader, stripe: try OutboundBase(parsing: stripe))
        return (settings, reader.problems.map(\.name))
    }

    @Test func withoutSettingsNoTokenIsBelieved() throws {
        let (settings, problems) = try Self.read([:])
        #expect(settings.appTokens == nil && settings.appURL == nil && problems.isEmpty)
        #expect(settings.checkoutOrigins == ["https://checkout.stripe.com"])
    }

    @Test func keysAreSecretsAFileOrAURL() throws {
        let secrets = try Self.read(
            Self.names.merging(["PORTAL_JWT_SECRET": "\(Self.secret), \(Self.secret)2"]) { $1 })
        #expect(secrets.1.isEmpty)
        guard case .secrets(let list) = secrets.0.appTokens?.keys else {
            Issue.record("no secrets")
            return
        }
        #expect(list.map(\.value) == [Self.secret, Self.secret + "2"])
        let url = try Self.read(
            Self.names.merging(["PORTAL_JWKS_URL": "https://app.example/keys.json?v=1"]) { $1 })
        guard case .url(let location) = url.0.appTokens?.keys else {
            Issue.record("no URL")
            return
        }
        #expect("\(location.base)" == "https://app.example" && location.target == "/keys.json?v=1")
    }

    @Test(arguments: [
        (["PORTAL_JWT_SECRET": "short"], "PORTAL_JWT_SECRET"),
        (["PORTAL_JWT_SECRET": ","], "PORTAL_JWT_SECRET"),
        (["PORTAL_JWT_SECRET": "\(Self.secret),short"], "PORTAL_JWT_SECRET"),
        (["PORTAL_JWKS_URL": "http://app.example/keys"], "PORTAL_JWKS_URL"),
        (["PORTAL_JWKS_URL": "https://app.example"], "PORTAL_JWKS_URL"),
        (["PORTAL_JWKS_URL": "https://u:p@app.example/keys"], "PORTAL_JWKS_URL"),
        (["PORTAL_JWT_SECRET": Self.secret, "PORTAL_JWKS_FILE": "/keys"], "PORTAL_JWKS_FILE"),
        (["PORTAL_APP_URL": "javascript:alert(1)"], "PORTAL_APP_URL"),
        (["PORTAL_APP_URL": "http://app.example/"], "PORTAL_APP_URL"),
        (["STRIPE_CHECKOUT_ORIGIN": "https://pay.example; script-src *"], "STRIPE_CHECKOUT_ORIGIN"),
        (["STRIPE_CHECKOUT_ORIGIN": "https://*.example"], "STRIPE_CHECKOUT_ORIGIN"),
        (["ASSET_CHART_JS": "/nowhere/chart.js"], "ASSET_CHART_JS"),
    ])
    func aWrongSettingIsNamed(values: [String: String], name: String) throws {
        let keyed = values.keys.contains { $0.hasPrefix("PORTAL_JW") }
        #expect(try Self.read(keyed ? Self.names.merging(values) { $1 } : values).1 == [name])
    }

    @Test func issuerAndAudienceBelongToAKey() throws {
        #expect(
            try Set(Self.read(["PORTAL_JWT_SECRET": Self.secret]).1) == [
                "PORTAL_JWT_ISSUER", "PORTAL_JWT_AUDIENCE",
            ])
        #expect(try Set(Self.read(Self.names).1) == ["PORTAL_JWT_ISSUER", "PORTAL_JWT_AUDIENCE"])
    }

    /// Chromium follows a form to where its policy allows, and the mock's page is on the mock.
    @Test func formsMayLeadToTheCheckoutPage() throws {
        let mock = try Self.read([:], stripe: "http://127.0.0.1:12111").0
        #expect(mock.checkoutOrigins == ["https://checkout.stripe.com", "http://127.0.0.1:12111"])
        let own = try Self.read(["STRIPE_CHECKOUT_ORIGIN": "https://pay.example"]).0
        #expect(own.checkoutOrigins == ["https://checkout.stripe.com", "https://pay.example"])
    }
}

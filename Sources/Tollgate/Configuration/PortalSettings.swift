import Billing
import Foundation
import StripeAPI

/// `PORTAL_*`, `ASSET_CHART_JS` and `STRIPE_CHECKOUT_ORIGIN`: the credits page.
struct PortalSettings: Sendable {
    /// What the app signs its tokens with.
    enum AppKeys: Sendable {
        /// Several while rotating.
        case secrets([Secret])
        case file(String)
        case url(JWKSLocation)
    }

    struct AppTokens: Sendable {
        var keys: AppKeys
        var issuer: String
        var audience: String
    }

    /// Where people without a session are sent.
    var appURL: String?
    /// nil: the app signs no tokens.
    var appTokens: AppTokens?
    /// Where a purchase leads: Stripe's page, or the mock's.
    var checkoutOrigins: [String]
    /// Chart.js; nil: figures stand in tables only.
    var chartScript: [UInt8]?

    private static let stripePage = "https://checkout.stripe.com"
    /// Of Debian's libjs-chart.js.
    private static let chartScriptPath = "/usr/share/javascript/chart.js/chart.min.js"

    /// What is wrong is left with the reader.
    ///
    /// - Parameter stripe: its API; a page of another host belongs to it.
    init(_ reader: inout SettingsReader, stripe: OutboundBase) {
        self.appURL = Self.appURL(&reader)
        self.appTokens = Self.appTokens(&reader)
        self.checkoutOrigins = [Self.stripePage]
        if stripe.description != StripeClient.defaultBase {
            self.checkoutOrigins.append((stripe.isTLS ? "https://" : "http://") + stripe.authority)
        }
        if let text = reader.text("STRIPE_CHECKOUT_ORIGIN") {
            if let origin = WebOrigin(text), origin.scheme == .https || origin.isLoopback {
                self.checkoutOrigins.append("\(origin)")
            } else {
                reader.reject("STRIPE_CHECKOUT_ORIGIN", "must be an exact origin, https://host[:port]")
            }
        }
        self.chartScript = Self.chartScript(&reader)
    }

    private static func appURL(_ reader: inout SettingsReader) -> String? {
        guard let text = reader.text("PORTAL_APP_URL") else { return nil }
        let parts = text.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard let origin = WebOrigin(parts.prefix(3).joined(separator: "/")),
            origin.scheme == .https || origin.isLoopback,
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        else {
            reader.reject("PORTAL_APP_URL", "must be a URL that begins with https://")
            return nil
        }
        return text
    }

    private static func chartScript(_ reader: inout SettingsReader) -> [UInt8]? {
        let given = reader.text("ASSET_CHART_JS")
        let data = FileManager.default.contents(atPath: given ?? Self.chartScriptPath)
        if given != nil, data == nil { reader.reject("ASSET_CHART_JS", "cannot be read") }
        return data.map { Array($0) }
    }

    // MARK: Tokens of the app

    private static let keyNames = ["PORTAL_JWT_SECRET", "PORTAL_JWKS_FILE", "PORTAL_JWKS_URL"]

    private static func appTokens(_ reader: inout SettingsReader) -> AppTokens? {
        let secrets = Self.tokenSecrets(&reader)
        let (file, url) = (reader.text("PORTAL_JWKS_FILE"), reader.text("PORTAL_JWKS_URL"))
        let (issuer, audience) = (reader.text("PORTAL_JWT_ISSUER"), reader.text("PORTAL_JWT_AUDIENCE"))
        let names = zip(Self.keyNames, [secrets != nil, file != nil, url != nil]).filter(\.1).map(\.0)
        guard let name = names.first else {
            for (name, value) in [("PORTAL_JWT_ISSUER", issuer), ("PORTAL_JWT_AUDIENCE", audience)]
            where value != nil {
                reader.reject(name, "means nothing without one of \(Self.keyNames.joined(separator: ", "))")
            }
            return nil
        }
        for other in names.dropFirst() { reader.reject(other, "is set beside \(name); set one of them") }
        if issuer == nil {
            reader.reject("PORTAL_JWT_ISSUER", "is required beside \(name): the 'iss' of tokens")
        }
        if audience == nil {
            reader.reject("PORTAL_JWT_AUDIENCE", "is required beside \(name): the 'aud' of tokens")
        }
        let keys: AppKeys? =
            if let secrets {
                .secrets(secrets)
            } else if let url {
                Self.location(url, &reader)
            } else {
                file.map { .file($0) }
            }
        guard let keys, let issuer, let audience else { return nil }
        return AppTokens(keys: keys, issuer: issuer, audience: audience)
    }

    /// nil: there are none. Empty: what is there is wrong, as the reader knows.
    static func tokenSecrets(_ reader: inout SettingsReader) -> [Secret]? {
        guard let all = reader.secret("PORTAL_JWT_SECRET") else { return nil }
        let parts = all.value.split(separator: ",").map { Secret(value: String($0.trimmingBlanks)) }
        guard !parts.isEmpty, parts.allSatisfy({ $0.value.utf8.count >= 32 }) else {
            reader.reject("PORTAL_JWT_SECRET", "each secret needs at least 32 bytes")
            return []
        }
        return parts
    }

    private static func location(_ url: String, _ reader: inout SettingsReader) -> AppKeys? {
        guard let location = JWKSLocation(url) else {
            reader.reject(
                "PORTAL_JWKS_URL", "must be a URL that begins with https://, or http:// to this machine")
            return nil
        }
        return .url(location)
    }
}

/// Where a key set is fetched.
struct JWKSLocation: Sendable {
    let base: OutboundBase
    /// Path and query.
    let target: String

    init?(_ url: String) {
        let parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4, let base = try? OutboundBase(parsing: parts.prefix(3).joined(separator: "/")),
            parts[3].utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "#") })
        else { return nil }
        self.base = base
        self.target = "/" + parts[3]
    }
}

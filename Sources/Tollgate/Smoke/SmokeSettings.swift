import Billing
import Foundation
import StripeAPI

/// What a smoke test knows of the deployment that it looks at.
struct SmokeSettings: Sendable {
    /// How a purchase is paid.
    enum Payment: String, Sendable, CaseIterable {
        /// By pressing a button of the mock's checkout page.
        case page
        /// By a payment of Stripe's test card that names the purchase, as no program can press Stripe's own button.
        case card
    }

    struct Stripe: Sendable {
        var key: StripeKey
        var base: OutboundBase
        var payment: Payment
    }

    var base: OutboundBase
    /// Where checkout may lead back to.
    var publicURL: String
    var adminToken: Secret
    var serviceKey: Secret
    var stripe: Stripe?
    var signingSecrets: [StripeSigningSecret]
    /// The ledger, for what no API gives: a balance of five credits, and an end to throw-away users.
    var databaseURL: Secret?
    var model: String
    /// One whose ten thousand tokens cost more than five credits.
    var costlyModel: String
    /// How long money and usage may take until they are in the ledger.
    var wait: Duration
}

/// What `--dev DIR` says, as far as a smoke test needs it.
struct SmokeDevFacts: Decodable {
    var baseURL: String
    var serviceKey: String
    var adminToken: String
    var stripeWebhookSecret: String
    var databaseURL: String
    var stripeURL: String

    /// The key that the bundled mock takes.
    static let mockKey = "sk_test_mock"

    static func read(_ directory: String) throws -> SmokeDevFacts {
        let path = directory + "/dev.json"
        guard let data = FileManager.default.contents(atPath: path) else {
            throw UsageError("--dev: there is no \(path); is `tollgate dev` running?")
        }
        guard let facts = try? JSONDecoder().decode(SmokeDevFacts.self, from: data) else {
            throw UsageError("--dev: \(path) is not what `tollgate dev` writes")
        }
        return facts
    }

    /// As settings of the environment; what the environment itself says comes first.
    var settings: [String: String] {
        let root = self.baseURL.hasSuffix("/v1") ? String(self.baseURL.dropLast(3)) : self.baseURL
        var settings = [
            "PUBLIC_URL": root, "SERVICE_KEY": self.serviceKey, "ADMIN_TOKEN": self.adminToken,
            "DATABASE_URL": self.databaseURL, "STRIPE_WEBHOOK_SECRET": self.stripeWebhookSecret,
            "STRIPE_API_BASE": self.stripeURL,
        ]
        if (try? OutboundBase(parsing: self.stripeURL))?.isTLS == false {
            settings["STRIPE_SECRET_KEY"] = Self.mockKey
        }
        return settings
    }
}

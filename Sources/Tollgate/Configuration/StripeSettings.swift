import Billing
import StripeAPI

/// `STRIPE_*` and `BILLING_AUTO_RECHARGE_MAX_USD_PER_DAY`.
struct StripeSettings: Sendable {
    /// nil: purchases answer 503.
    var key: StripeKey?
    /// Several while rotating.
    var signingSecrets: [StripeSigningSecret]
    var base: OutboundBase
    /// PEM file of authorities; nil uses the system's.
    var authoritiesFile: String?
    /// Of one account per UTC day, whatever its owner allows.
    var rechargeDailyMaxCents: Int64

    /// What is wrong is left with the reader.
    ///
    /// - Parameter recharges: saved cards are charged from the start.
    init(_ reader: inout SettingsReader, recharges: Bool) {
        self.key = Self.key(&reader)
        self.signingSecrets = Self.signingSecrets(&reader)
        self.base = Self.base(&reader)
        self.authoritiesFile = reader.text("STRIPE_CA_FILE")
        self.rechargeDailyMaxCents =
            100 * (reader.integer("BILLING_AUTO_RECHARGE_MAX_USD_PER_DAY", in: 1...1_000_000) ?? 200)
        if recharges, self.key == nil {
            reader.reject("BILLING_AUTO_RECHARGE", "needs STRIPE_SECRET_KEY")
        }
        // Money would come, and nobody would hear of it.
        if self.key != nil, self.signingSecrets.isEmpty {
            reader.reject("STRIPE_WEBHOOK_SECRET", "is required beside STRIPE_SECRET_KEY: whsec_…")
        }
    }

    static func key(_ reader: inout SettingsReader) -> StripeKey? {
        guard let text = reader.secret("STRIPE_SECRET_KEY") else { return nil }
        guard let key = StripeKey(text.value) else {
            reader.reject("STRIPE_SECRET_KEY", "must begin with sk_live_, sk_test_, rk_live_ or rk_test_")
            return nil
        }
        return key
    }

    static func signingSecrets(_ reader: inout SettingsReader) -> [StripeSigningSecret] {
        guard let text = reader.secret("STRIPE_WEBHOOK_SECRET") else { return [] }
        let secrets = text.value.split(separator: ",").map { StripeSigningSecret($0.trimmingBlanks) }
        guard !secrets.isEmpty, secrets.allSatisfy({ $0 != nil }) else {
            reader.reject(
                "STRIPE_WEBHOOK_SECRET", "must be secrets of 16 to 256 visible characters, by commas")
            return []
        }
        return secrets.compactMap { $0 }
    }

    static func base(_ reader: inout SettingsReader) -> OutboundBase {
        do throws(OutboundBase.Problem) {
            return try OutboundBase(parsing: reader.text("STRIPE_API_BASE") ?? StripeClient.defaultBase)
        } catch {
            let why =
                switch error {
                case .notAURL: "is not a URL"
                case .scheme: "must begin with https://"
                case .plainHTTPToAnotherHost: "must begin with https:// unless it is this machine"
                case .userInfo: "must not hold a user or password"
                case .queryOrFragment: "must not hold a query or fragment"
                }
            reader.reject("STRIPE_API_BASE", why)
            guard let standard = try? OutboundBase(parsing: StripeClient.defaultBase) else {
                preconditionFailure("the default base is well formed")
            }
            return standard
        }
    }
}

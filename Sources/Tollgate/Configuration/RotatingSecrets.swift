import Billing
import Metering

/// The secrets that SIGHUP takes over: all of them or none, and whatever the rest of the configuration has become.
struct RotatingSecrets: Sendable {
    /// `OPENAI_API_KEY`, the operator's.
    var upstreamKey: Secret
    var adminTokens: [Secret]
    var keyPeppers: [Secret]
    var sessionSecrets: [Secret]
    /// Of the webhook; empty without Stripe.
    var signingSecrets: [StripeSigningSecret] = []
    /// `PORTAL_JWT_SECRET`; empty when the app signs with a key pair, or not at all.
    var appTokenSecrets: [Secret] = []

    /// What is wrong is left with the reader.
    init(_ reader: inout SettingsReader) {
        self.upstreamKey = reader.requiredSecret("OPENAI_API_KEY", "the operator's upstream key")
        // It becomes part of a field of every request upstream.
        if !self.upstreamKey.value.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) {
            reader.reject("OPENAI_API_KEY", "must be visible ASCII characters without spaces")
        }
        self.adminTokens = reader.requiredSecrets("ADMIN_TOKEN", "bearer of the admin API", bytesMin: 32)
        self.keyPeppers = reader.requiredSecrets("KEY_PEPPER", "key of the hash of API keys", bytesMin: 32)
        self.sessionSecrets = reader.requiredSecrets(
            "SESSION_SECRET", "key of browser sessions", bytesMin: 32)
    }

    /// For SIGHUP; at the start the signing secrets are read with the rest of `StripeSettings`, and the app's with
    /// `PortalSettings`.
    ///
    /// - Throws: `BadConfiguration` with every problem found.
    init(reading reader: SettingsReader) throws {
        var reader = reader
        self.init(&reader)
        self.signingSecrets = StripeSettings.signingSecrets(&reader)
        if self.signingSecrets.isEmpty, reader.problems.isEmpty, reader.secret("STRIPE_SECRET_KEY") != nil {
            reader.reject("STRIPE_WEBHOOK_SECRET", "is required beside STRIPE_SECRET_KEY: whsec_…")
        }
        self.appTokenSecrets = PortalSettings.tokenSecrets(&reader) ?? []
        guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
    }

    /// The digest of browser sessions and of links to them.
    var sessionHasher: KeyHasher { KeyHasher(peppers: self.sessionSecrets.map { Array($0.value.utf8) }) }

    var keyHasher: KeyHasher { KeyHasher(peppers: self.keyPeppers.map { Array($0.value.utf8) }) }
}

extension MockStripeServer {
    /// Where every event is sent.
    public struct Webhook: Equatable, Sendable {
        /// `http://…`; TLS is not spoken.
        public var url: String
        /// `whsec_…`
        public var secret: String

        public init(url: String, secret: String) {
            self.url = url
            self.secret = secret
        }
    }

    public struct Configuration: Sendable {
        public var host = "127.0.0.1"
        /// 0 takes a free port.
        public var port = 0
        public var webhooks: [Webhook] = []
        /// The only key that is accepted; nil accepts every test key. With a live key all objects say
        /// `livemode`.
        public var key: String?
        public var apiVersion = "2025-09-30.clover"
        /// Nil: a different one in each process. Ids depend on it.
        public var seed: UInt64?
        /// How long bank debits take that clear or bounce by themselves.
        public var bankDebitMilliseconds = 2_000
        /// Wait before the second attempt of a delivery; doubles with each further one.
        public var retryMilliseconds = 200
        /// Attempts after which a delivery is given up.
        public var attemptsMax = 30
        /// For one delivery, answer included.
        public var deliveryTimeoutSeconds = 10
        /// Until a connection that the fault `hang` leaves without an answer is closed.
        public var hangSeconds = 120

        public init() {}

        var settings: StripeWorld.Settings {
            var settings = StripeWorld.Settings()
            settings.key = self.key
            settings.live = self.key.map { $0.hasPrefix("sk_live_") || $0.hasPrefix("rk_live_") } ?? false
            settings.apiVersion = self.apiVersion
            settings.bankDebitMilliseconds = self.bankDebitMilliseconds
            settings.retries.firstMilliseconds = self.retryMilliseconds
            settings.retries.attemptsMax = self.attemptsMax
            settings.seed = self.seed ?? UInt64.random(in: .min ... .max)
            return settings
        }
    }
}

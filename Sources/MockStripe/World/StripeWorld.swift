/// All that the mock knows, as one value: requests, presses of buttons and the passing of time go in;
/// replies, pages and deliveries come out. Held behind a lock by `MockStripeServer`; simulators may own one
/// directly.
public struct StripeWorld: Sendable {
    public struct Settings: Equatable, Sendable {
        /// The only key that is accepted; nil accepts any `sk_test_…` and `rk_test_…`.
        public var key: String?
        /// Whether objects say `livemode`.
        public var live = false
        /// Where this server's pages are, `http://127.0.0.1:12111`.
        public var pages = "http://127.0.0.1"
        public var apiVersion = "2025-09-30.clover"
        /// From the choice "clears by itself" of the checkout page to its event.
        public var bankDebitMilliseconds = 2_000
        var retries = DeliveryQueue.Retries()
        public var seed: UInt64 = 1

        public init() {}
    }

    var settings: Settings
    var identifiers: Identifiers
    /// Milliseconds since 1970, as the last caller said, plus what tests advanced.
    private(set) var now = 0
    var advancedMilliseconds = 0

    var customers = Table<Customer>()
    var paymentMethods = Table<PaymentMethod>()
    var sessions = Table<CheckoutSession>()
    /// No open session expires before; seconds since 1970.
    var earliestExpiry = Int.max
    var intents = Table<PaymentIntent>()
    var charges = Table<Charge>()
    var refunds = Table<Refund>()
    var disputes = Table<Dispute>()
    var balanceTransactions = Table<BalanceTransaction>()
    var events = Table<StripeEvent>()
    var endpoints = Table<WebhookEndpoint>()

    var idempotency = IdempotencyKeys()
    var callFaults: [CallFault] = []
    var waiting: [Int: APIRequest] = [:]
    var queue = DeliveryQueue()
    var deliveryFaults = DeliveryFaults()
    /// Pairs of event and endpoint that were answered 2xx.
    var delivered: Set<[String]> = []
    /// Balance transactions of charges wait for `settle_fees`.
    var feesAreLate = false
    /// Bank debits that decide themselves, and when.
    var scheduled: [ScheduledOutcome] = []
    var log = CallLog()
    /// The request under way, for the events that it causes.
    var cause: (request: String, key: String?)?

    struct ScheduledOutcome: Equatable, Sendable {
        let intent: String
        let succeeds: Bool
        /// Milliseconds since 1970.
        let dueAt: Int
    }

    public init(_ settings: Settings) {
        self.settings = settings
        self.identifiers = Identifiers(seed: settings.seed)
    }

    /// Seconds since 1970, as Stripe tells time.
    var seconds: Int { self.now / 1_000 }

    /// Every entry calls this first: sessions end and bank debits clear when their time has come.
    public mutating func tick(_ milliseconds: Int) {
        self.now = milliseconds + self.advancedMilliseconds
        if self.earliestExpiry <= self.seconds { self.expireSessions() }
        let due = self.scheduled.filter { $0.dueAt <= self.now }
        guard !due.isEmpty else { return }
        self.scheduled.removeAll { $0.dueAt <= self.now }
        for outcome in due { self.settleBankDebit(outcome.intent, succeeds: outcome.succeeds) }
    }

    private mutating func expireSessions() {
        self.earliestExpiry = .max
        for session in self.sessions.rows where session.status == .open {
            if session.expiresAt <= self.seconds {
                self.expire(session.id)
            } else {
                self.earliestExpiry = min(self.earliestExpiry, session.expiresAt)
            }
        }
    }

    /// Forgets everything but settings and endpoints. Identifiers go on, so that nothing is ever named twice;
    /// time that was advanced comes back.
    mutating func reset() {
        var fresh = StripeWorld(self.settings)
        fresh.identifiers = self.identifiers
        fresh.endpoints = self.endpoints
        fresh.queue = DeliveryQueue(after: self.queue)
        fresh.now = self.now - self.advancedMilliseconds
        self = fresh
    }

    /// Makes an event about an object as it is now, and queues its deliveries.
    mutating func emit(_ type: String, _ object: some StripeObject, previous: JSON? = nil) {
        let twins = self.deliveryFaults.twins
        for _ in 0...max(0, twins) {
            self.emitOnce(type, object.json(live: self.settings.live), previous)
        }
    }

    private mutating func emitOnce(_ type: String, _ object: JSON, _ previous: JSON?) {
        let receivers = self.endpoints.rows.filter { $0.wants(type) }
        let event = StripeEvent(
            id: self.identifiers.next("evt_"), created: self.seconds, type: type, object: object,
            previous: previous,
            apiVersion: self.settings.apiVersion, request: self.cause?.request,
            idempotencyKey: self.cause?.key,
            pendingWebhooks: receivers.count)
        self.events.add(event)
        for receiver in receivers {
            self.queue.add(
                event: event.id, endpoint: receiver.id, now: self.now, faults: &self.deliveryFaults)
        }
    }
}

/// An event of Stripe as it is kept: what it is about, never its body.
public struct StripeEventRecord: Sendable, Hashable {
    public enum Source: String, Sendable, Hashable {
        /// Delivered to us.
        case webhook
        /// Fetched, because Stripe could not deliver it.
        case poll
        /// Applied again by a person.
        case replay
    }

    /// How the reason begins for which an event is a dead letter that nobody could apply yet.
    public static let notApplied = "not_applied_"

    /// `evt_…`
    public var id: String
    public var type: String
    public var livemode: Bool
    /// When Stripe made it, seconds since 1970.
    public var createdAt: Int64
    public var source: Source
    public var kind: StripeEventKind
    /// Metadata of its payment or session, as far as the event has them; nil: it is about something of them (a refund, a
    /// dispute), or only what is stored of it is known. Not stored.
    public var metadata: [String: String]?

    public init(
        id: String, type: String, livemode: Bool, createdAt: Int64, source: Source, kind: StripeEventKind,
        metadata: [String: String]? = nil
    ) {
        self.id = id
        self.type = type
        self.livemode = livemode
        self.createdAt = createdAt
        self.source = source
        self.kind = kind
        self.metadata = metadata
    }
}

/// What bringing a payment to its target state came to.
public enum PaymentOutcome: Sendable, Hashable {
    /// The event was here before.
    case repeated
    /// Not about a purchase of ours, or of no interest.
    case ignored
    /// Nothing was left to post.
    case upToDate
    /// So many postings; `granted` when credits came in with them.
    case posted(Int, granted: Bool, purchase: Purchase)
    /// Kept for a person.
    case dead(reason: String)

    public var isDead: Bool {
        if case .dead = self { true } else { false }
    }
}

/// The purchases of the ledger. Every change of a payment goes through `settle`.
public protocol PurchaseLedger: Sendable {
    /// Stores a purchase before Stripe hears of it; false: the account has too many unpaid pages of the last hour.
    @discardableResult
    func open(_ purchase: Purchase, urls: ReturnURLs?, paymentMethod: String?) async throws -> Bool
    /// Stripe made its session, or refused to (nil).
    func sessionAnswered(_ session: String?, for purchase: PurchaseID) async throws
    func purchase(_ id: PurchaseID) async throws -> Purchase?
    /// What Stripe is told of a purchase that is stored.
    func label(of purchase: PurchaseID) async throws -> PurchaseLabel
    /// `cus_…` by which the account is known at Stripe.
    func customer(of account: Int64, livemode: Bool) async throws -> String?
    /// Stripe does not know this customer any more.
    func forgetCustomer(_ customer: String, of account: Int64) async throws
    /// Stores an event, reads the payment it is about with the payment locked, posts the difference between its target
    /// state and what was posted: all in one transaction.
    ///
    /// - Parameters:
    ///   - event: nil: nobody told us, we look by ourselves.
    ///   - reader: called on a thread that may block.
    /// - Throws: when it is not known to be committed; the same event may then be settled again.
    func settle(
        _ hint: PaymentHint, event: StripeEventRecord?, reader: any PaymentReading
    ) async throws -> PaymentOutcome
    /// Keeps an event that leads to nothing; false: it was here before.
    func keep(_ event: StripeEventRecord, deadBecause reason: String?) async throws -> Bool
}

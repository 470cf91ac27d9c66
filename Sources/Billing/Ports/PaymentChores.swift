import Metering

/// A purchase whose end is not known, though it should be by now.
public enum UnfinishedPurchase: Sendable, Hashable {
    public var purchase: Purchase {
        switch self {
        case .unanswered(let purchase, _, _), .unread(let purchase), .abandoned(let purchase): purchase
        }
    }

    /// Stripe was asked for a page, and its answer was never noted: ask again under the same key.
    case unanswered(Purchase, successURL: String, cancelURL: String)
    /// Read it again: its page is over, or a bank takes its time.
    case unread(Purchase)
    /// Stripe was asked for longer ago than it remembers keys, and never answered.
    case abandoned(Purchase)
}

/// A refund that was stored, and of which it is not known whether Stripe did it.
public struct AskedRefund: Sendable, Hashable {
    public var request: String
    public var purchase: PurchaseID
    public var paymentIntent: String
    public var cents: Int64
    /// Stripe may have forgotten its key by now: asked again, it could be made twice.
    public var isTooOld: Bool

    public init(
        request: String, purchase: PurchaseID, paymentIntent: String, cents: Int64, isTooOld: Bool = false
    ) {
        self.request = request
        self.purchase = purchase
        self.paymentIntent = paymentIntent
        self.cents = cents
        self.isTooOld = isTooOld
    }

    public init(_ plan: RefundPlan) {
        self.init(
            request: plan.request, purchase: plan.purchase, paymentIntent: plan.paymentIntent,
            cents: plan.cents)
    }

    public var idempotencyKey: String { RefundPlan.idempotencyKey(of: self.request) }
    public var metadata: [String: String] { RefundPlan.metadata(self.request, self.purchase) }
}

/// What stands in the way of storing a refund.
public enum RefundStorage: Error, Sendable, Hashable {
    case unknownPurchase
    /// The key was used for another purchase, amount or reason.
    case idempotencyConflict
}

/// A refund as it is stored.
public struct StoredRefund: Sendable, Hashable {
    public enum Answer: Sendable, Hashable {
        case asked
        case done(refund: String)
        case refused(String)
        /// It was made and came back later; its credits were returned.
        case failed
    }

    public var asked: AskedRefund
    public var answer: Answer
    /// Stored by this call; Stripe has not been asked before.
    public var isNew: Bool

    public init(asked: AskedRefund, answer: Answer, isNew: Bool) {
        self.asked = asked
        self.answer = answer
        self.isNew = isNew
    }
}

/// Stripe's events, followed by one instance at a time.
public protocol EventChores: Sendable {
    /// Those of these events that are stored and not to be applied by whoever finds them again: they need nobody, or are
    /// tried again as `unappliedEvents`.
    func settledEvents(among ids: [String]) async throws -> Set<String>
    /// Events of the last three days that were kept because they could not be applied; the least tried first.
    func unappliedEvents(livemode: Bool, limit: Int64) async throws -> [StripeEventRecord]
    /// Takes or prolongs the lease of a job; nil: another instance has it.
    func takeJob(_ job: String, for holder: String, seconds: Int64) async throws -> JobLease?
    /// Any instance may do it from now on. Without it, the lease of a dead instance has to run out.
    func endJob(_ job: String, by holder: String) async throws
    /// Where the next run begins.
    func noteProgress(of job: String, by holder: String, _ progress: String) async throws
}

/// What is done now and then, by one instance at a time.
public protocol PaymentChores: PurchaseLedger, EventChores {
    /// - Parameter livemode: of the key by which they are looked at.
    func unfinishedPurchases(livemode: Bool, limit: Int64) async throws -> [UnfinishedPurchase]
    /// Decides and stores a refund with the payment locked; the same request again is answered with what is stored.
    ///
    /// - Throws: `RefundPlan.Refusal`, `RefundStorage`
    func planRefund(
        _ request: String, of purchase: PurchaseID, amount: RefundPlan.Amount, note: ChangeNote
    ) async throws -> StoredRefund
    /// Posts a credit refund with the payment locked; the same request again answers the same amount.
    ///
    /// - Throws: `CreditRefund.Refusal`, `RefundStorage`
    func refundCredits(
        _ request: String, of purchase: PurchaseID, amount: CreditRefund.Amount, note: ChangeNote
    ) async throws -> Millicredits
    /// Refunds whose answer was lost; those of the last minute are still being asked.
    func askedRefunds(livemode: Bool, limit: Int64) async throws -> [AskedRefund]
    /// What is known of a refund that is stored.
    func answer(to request: String) async throws -> StoredRefund.Answer
    /// A look that failed: others come first the next time.
    func wasLookedAt(_ purchase: PurchaseID) async throws
    func wasLookedAt(_ request: String) async throws
    /// Stripe made it, or refused (nil, with a bounded reason).
    func refundAnswered(_ request: String, refund: String?, refusal: String?) async throws
    /// Events older than 90 days that need nobody any more. Returns how many went.
    func forgetEvents() async throws -> Int
}

public struct JobLease: Sendable, Hashable {
    /// As the last run noted it.
    public var progress: String?

    public init(progress: String?) { self.progress = progress }
}

/// What Stripe says of one payment at one moment: read whole, never put together from events.
public struct PaymentSnapshot: Sendable, Hashable {
    public enum Status: String, Sendable, Hashable {
        case requiresPaymentMethod = "requires_payment_method"
        case requiresConfirmation = "requires_confirmation"
        case requiresAction = "requires_action"
        case processing
        case requiresCapture = "requires_capture"
        case canceled
        case succeeded
    }

    /// `pi_…`.
    public var paymentIntent: String
    public var status: Status
    public var livemode: Bool
    /// ISO 4217, lower case.
    public var currency: String
    /// Smallest unit of the currency: cents of a dollar.
    public var amountCents: Int64
    public var amountReceivedCents: Int64
    /// Of the payment intent.
    public var metadata: [String: String]
    /// `cus_…`.
    public var customer: String?
    /// Of the charge that took the money, once there is one.
    public var charge: ChargeFacts?
    /// Why the last try to pay it brought nothing: the bank's decline code, else Stripe's code.
    public var failureCode: String?
    public var refunds: [RefundFacts]
    public var disputes: [DisputeFacts]

    public init(
        paymentIntent: String, status: Status, livemode: Bool, currency: String, amountCents: Int64,
        amountReceivedCents: Int64, metadata: [String: String], customer: String?, charge: ChargeFacts?,
        refunds: [RefundFacts], disputes: [DisputeFacts], failureCode: String? = nil
    ) {
        self.paymentIntent = paymentIntent
        self.status = status
        self.livemode = livemode
        self.currency = currency
        self.amountCents = amountCents
        self.amountReceivedCents = amountReceivedCents
        self.metadata = metadata
        self.customer = customer
        self.charge = charge
        self.failureCode = failureCode
        self.refunds = refunds
        self.disputes = disputes
    }

    public struct ChargeFacts: Sendable, Hashable {
        public var id: String
        public var receiptURL: String?
        /// Of the balance transaction; nil while Stripe has not settled it.
        public var feeCents: Int64?

        public init(id: String, receiptURL: String?, feeCents: Int64?) {
            self.id = id
            self.receiptURL = receiptURL
            self.feeCents = feeCents
        }
    }

    public struct RefundFacts: Sendable, Hashable {
        public enum Status: String, Sendable, Hashable {
            case pending
            case requiresAction = "requires_action"
            case succeeded, failed, canceled
        }

        public var id: String
        public var amountCents: Int64
        public var status: Status
        public var metadata: [String: String]

        public init(id: String, amountCents: Int64, status: Status, metadata: [String: String] = [:]) {
            self.id = id
            self.amountCents = amountCents
            self.status = status
            self.metadata = metadata
        }
    }

    public struct DisputeFacts: Sendable, Hashable {
        public enum Status: String, Sendable, Hashable {
            case warningNeedsResponse = "warning_needs_response"
            case warningUnderReview = "warning_under_review"
            case warningClosed = "warning_closed"
            case needsResponse = "needs_response"
            case underReview = "under_review"
            case won, lost
            case prevented
        }

        public var id: String
        public var amountCents: Int64
        public var status: Status
        /// Σ of the fees of its balance transactions, cents; what came back is subtracted.
        public var feeCents: Int64
        /// Σ of the nets of its balance transactions without fees: negative while the money is with the bank.
        public var withdrawnCents: Int64

        public init(id: String, amountCents: Int64, status: Status, feeCents: Int64, withdrawnCents: Int64) {
            self.id = id
            self.amountCents = amountCents
            self.status = status
            self.feeCents = feeCents
            self.withdrawnCents = withdrawnCents
        }
    }
}

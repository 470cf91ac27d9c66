import Metering

/// What was posted for one payment so far; one row of `payment_state`, read and written under its lock.
public struct PaymentPosted: Sendable, Hashable {
    /// Number of the last posting; it only grows, so that each posting has a key of its own.
    public var revision: Int64
    public var state: PaymentTarget

    public init(revision: Int64, state: PaymentTarget) {
        self.revision = revision
        self.state = state
    }

    public static let nothing = PaymentPosted(revision: 0, state: PaymentTarget())

    public var isGranted: Bool { self.state.isGranted }
}

/// One step from what was posted to the target, in the order in which they are to be posted.
public struct PaymentPosting: Sendable, Hashable {
    /// Unique over all payments: `stripe:payment:<pi>` for the grant, `stripe:payment:<pi>:<revision>` for the rest.
    public var key: String
    public var effect: Effect

    public enum Effect: Sendable, Hashable {
        /// A `purchase` line and its lot.
        case grant(Millicredits, paidCents: Int64)
        /// A `refund` or `adjustment` line, linked to the lot.
        case reversal(Reversal)
        /// For the books only.
        case cash(CashMovement, cents: Int64)
        /// The whole of what this payment does to its account's gate, not a change of it. The floor is raised by
        /// Σ `frozen` over the account's payments, and it is suspended while any of them has a dispute that is open or
        /// lost and that no person has lifted.
        case gate(frozen: Millicredits, disputes: [String: DisputeHold])
    }

    public struct Reversal: Sendable, Hashable {
        public enum Cause: String, Sendable, Hashable {
            /// Ledger type `refund`.
            case refund
            /// Ledger type `adjustment`.
            case dispute
        }

        public var cause: Cause
        /// Negative takes credits back; positive returns what a failed refund or an overturned dispute had taken.
        public var amount: Millicredits
        /// `source_ref` of the lot.
        public var lot: String
        /// Totals of the lot after this line.
        public var clawed: Millicredits
        public var reversedCents: Int64

        public init(
            cause: Cause, amount: Millicredits, lot: String, clawed: Millicredits, reversedCents: Int64
        ) {
            self.cause = cause
            self.amount = amount
            self.lot = lot
            self.clawed = clawed
            self.reversedCents = reversedCents
        }
    }

    public init(key: String, effect: Effect) {
        self.key = key
        self.effect = effect
    }
}

import Metering

/// Which purchases are listed, newest first.
public struct PurchaseQuery: Sendable, Hashable {
    /// nil: all of them.
    public var only: PurchaseID?
    public var userID: String?
    /// Empty: any.
    public var statuses: Set<Purchase.Status>
    /// Milliseconds since 1970 of the payment, or of the order where none came; inclusive.
    public var from: Int64?
    /// Exclusive.
    public var to: Int64?
    /// The last one of the page before.
    public var before: PurchaseID?
    public var limit: Int64

    public init(
        userID: String? = nil, statuses: Set<Purchase.Status> = [], from: Int64? = nil, to: Int64? = nil,
        before: PurchaseID? = nil, limit: Int64
    ) {
        self.userID = userID
        self.statuses = statuses
        self.from = from
        self.to = to
        self.before = before
        self.limit = limit
    }
}

/// A purchase with what its payment came to.
public struct PurchaseLine: Sendable, Hashable {
    public var purchase: Purchase
    public var userID: String
    public var receiptURL: String?
    /// Milliseconds since 1970.
    public var paidAt: Int64?
    public var posted: PaymentTarget
    /// Why a person must look at it.
    public var doubt: String?

    public init(
        purchase: Purchase, userID: String, receiptURL: String?, paidAt: Int64?, posted: PaymentTarget,
        doubt: String?
    ) {
        self.purchase = purchase
        self.userID = userID
        self.receiptURL = receiptURL
        self.paidAt = paidAt
        self.posted = posted
        self.doubt = doubt
    }
}

/// What became of an event of Stripe.
public enum EventOutcome: String, Sendable, Hashable, CaseIterable {
    case applied, ignored
    /// It needs a person.
    case dead
    /// It was dead, and a person decided that it leads to nothing.
    case dismissed
}

/// Which stored events are listed, latest arrival first.
public struct StoredEventQuery: Sendable, Hashable {
    /// Where a page ended.
    public struct Cursor: Sendable, Hashable {
        /// Microseconds since 1970.
        public var receivedAt: Int64
        public var id: String

        public init(receivedAt: Int64, id: String) {
            self.receivedAt = receivedAt
            self.id = id
        }
    }

    /// Empty: all.
    public var outcomes: Set<EventOutcome>
    public var type: String?
    /// Seconds since 1970 at Stripe, the end not included.
    public var from: Int64?
    public var to: Int64?
    public var before: Cursor?
    public var limit: Int64

    public init(
        outcomes: Set<EventOutcome> = [], type: String? = nil, from: Int64? = nil, to: Int64? = nil,
        before: Cursor? = nil, limit: Int64
    ) {
        self.outcomes = outcomes
        self.type = type
        self.from = from
        self.to = to
        self.before = before
        self.limit = limit
    }
}

/// An event as it is stored. Its body is not: whatever it is about is read again.
public struct StoredEvent: Sendable, Hashable {
    /// Its `kind` is made of what is stored; a stored event that names nothing is `.ignored` here.
    public var record: StripeEventRecord
    public var outcome: EventOutcome
    /// Why it is dead; a bounded word.
    public var reason: String?
    public var attempts: Int64
    public var cursor: StoredEventQuery.Cursor

    public init(
        record: StripeEventRecord, outcome: EventOutcome, reason: String?, attempts: Int64,
        cursor: StoredEventQuery.Cursor
    ) {
        self.record = record
        self.outcome = outcome
        self.reason = reason
        self.attempts = attempts
        self.cursor = cursor
    }

    /// What it is about, if that was stored.
    public var hint: PaymentHint? {
        if case .payment(let hint) = self.record.kind { hint } else { nil }
    }
}

/// What settling would come to: nothing of it was committed.
public struct Rehearsal: Sendable, Hashable {
    public var outcome: PaymentOutcome
    /// `refund -3330000 millicredits`, `fee 59 cents`.
    public var postings: [String]

    public init(outcome: PaymentOutcome, postings: [String] = []) {
        self.outcome = outcome
        self.postings = postings
    }
}

/// Purchases and events for an operator.
public protocol PaymentRecords: Sendable {
    func purchases(_ query: PurchaseQuery) async throws -> [PurchaseLine]
    func events(_ query: StoredEventQuery) async throws -> [StoredEvent]
    func event(_ id: String) async throws -> StoredEvent?
}

/// What a replay needs of the ledger.
public protocol PaymentReplaying: PaymentRecords {
    /// `PurchaseLedger.settle` in a transaction that is rolled back.
    func rehearse(
        _ hint: PaymentHint, event: StripeEventRecord, reader: any PaymentReading
    ) async throws -> Rehearsal
}

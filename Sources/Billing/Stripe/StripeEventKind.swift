/// Which payment an event is about. Events are only hints: each of them leads to reading that payment whole.
public struct PaymentHint: Sendable, Hashable {
    /// `pi_…`; nil for a session that has none yet.
    public var paymentIntent: String?
    /// `cs_…`, when the event is about a session.
    public var session: String?
    /// From metadata or `client_reference_id`, if it is one of ours.
    public var purchase: PurchaseID?

    public init(paymentIntent: String?, session: String?, purchase: PurchaseID?) {
        self.paymentIntent = paymentIntent
        self.session = session
        self.purchase = purchase
    }
}

/// What the arrival of an event leads to.
public enum StripeEventKind: Sendable, Hashable {
    /// Bring this payment to its target state.
    case payment(PaymentHint)
    /// Stored, and nothing more.
    case ignored
    /// Stored as a dead letter: it ought to name a payment.
    case unusable(Defect)

    /// Why an event about a payment cannot be followed; a metric label.
    public enum Defect: String, Sendable, Hashable, CaseIterable {
        /// Neither a payment intent nor a session.
        case namesNoPayment = "names_no_payment"
        /// `data.object` is not what events of this type are about.
        case unexpectedObject = "unexpected_object"
        /// An id that is not in Stripe's alphabet; it would end up in a URL.
        case malformedID = "malformed_id"
    }

    /// What is looked at in `data.object`.
    public enum Field: Sendable, Hashable, CaseIterable {
        case object, id
        /// The id, also where the payment intent is expanded.
        case paymentIntent
        case clientReferenceID
        /// `metadata.tollgate_purchase`
        case purchaseMetadata
    }

    /// - Parameters:
    ///   - type: `event.type`.
    ///   - field: reads a field of `event.data.object`; nil where it is absent, null or no string.
    public init(type: String, field: (Field) -> String?) {
        guard let object = Self.objects[type] else {
            self = .ignored
            return
        }
        guard field(.object) == object.rawValue else {
            self = .unusable(.unexpectedObject)
            return
        }
        let intent = object == .paymentIntent ? field(.id) : field(.paymentIntent)
        let session = object == .session ? field(.id) : nil
        guard intent != nil || session != nil else {
            self = .unusable(.namesNoPayment)
            return
        }
        guard intent.map({ Self.isID($0, prefix: "pi_") }) ?? true,
            session.map({ Self.isID($0, prefix: "cs_") }) ?? true
        else {
            self = .unusable(.malformedID)
            return
        }
        // A refund or a dispute has metadata of its own; only what the payment was made with names its purchase.
        let isOurs = object == .session || object == .paymentIntent || object == .charge
        let named = isOurs ? field(.purchaseMetadata) ?? field(.clientReferenceID) : nil
        self = .payment(
            PaymentHint(
                paymentIntent: intent, session: session, purchase: named.flatMap { PurchaseID(text: $0) }))
    }

    /// `pi_3Px…`: ASCII letters, digits and underscores behind the prefix, at most 255 bytes.
    public static func isID(_ text: String, prefix: String) -> Bool {
        guard text.hasPrefix(prefix), text.utf8.count > prefix.utf8.count, text.utf8.count <= 255 else {
            return false
        }
        return text.utf8.allSatisfy { byte in
            48...57 ~= byte || 65...90 ~= byte || 97...122 ~= byte || byte == UInt8(ascii: "_")
        }
    }
}

extension StripeEventKind {
    private enum Object: String {
        case session = "checkout.session"
        case paymentIntent = "payment_intent"
        case charge, refund, dispute
    }

    private static let objects: [String: Object] = [
        "checkout.session.completed": .session,
        "checkout.session.async_payment_succeeded": .session,
        "checkout.session.async_payment_failed": .session,
        "checkout.session.expired": .session,
        "payment_intent.processing": .paymentIntent,
        "payment_intent.succeeded": .paymentIntent,
        "payment_intent.payment_failed": .paymentIntent,
        "payment_intent.canceled": .paymentIntent,
        "charge.succeeded": .charge,
        "charge.failed": .charge,
        "charge.refunded": .charge,
        // The fee is known only from here on for some payment methods.
        "charge.updated": .charge,
        "charge.refund.updated": .refund,
        "refund.created": .refund,
        "refund.updated": .refund,
        "refund.failed": .refund,
        "charge.dispute.created": .dispute,
        "charge.dispute.updated": .dispute,
        "charge.dispute.closed": .dispute,
        "charge.dispute.funds_withdrawn": .dispute,
        "charge.dispute.funds_reinstated": .dispute,
    ]

    /// What the webhook endpoint must be subscribed to; sorted.
    public static let paymentTypes: [String] = Self.objects.keys.sorted()

    /// The same in the portions in which `GET /v1/events` accepts them: its `types` takes at most 20.
    public static let paymentTypesForListing: [[String]] = stride(
        from: 0, to: Self.paymentTypes.count, by: 20
    ).map { Array(Self.paymentTypes[$0..<min($0 + 20, Self.paymentTypes.count)]) }
}

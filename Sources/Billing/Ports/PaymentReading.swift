/// A checkout session as Stripe has it now.
public struct SessionSnapshot: Sendable, Hashable {
    public enum Status: String, Sendable, Hashable {
        case open, complete, expired
    }

    /// `cs_…`
    public var id: String
    public var status: Status
    /// Where it is paid; nil once it is over.
    public var url: String?
    /// `pi_…`
    public var paymentIntent: String?
    public var clientReferenceID: String?
    public var metadata: [String: String]

    public init(
        id: String, status: Status, url: String?, paymentIntent: String?, clientReferenceID: String?,
        metadata: [String: String]
    ) {
        self.id = id
        self.status = status
        self.url = url
        self.paymentIntent = paymentIntent
        self.clientReferenceID = clientReferenceID
        self.metadata = metadata
    }
}

/// Reads Stripe from a thread that may block: it is called with a payment locked, so that whoever posts later has also
/// read later.
public protocol PaymentReading: Sendable {
    /// Payment intent, charge, refunds and disputes, whole.
    func payment(_ paymentIntent: String) throws -> PaymentSnapshot
    func session(_ id: String) throws -> SessionSnapshot
}

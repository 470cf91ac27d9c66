import Foundation

/// Something that happened at Stripe, as delivered to the webhook or read from the API. Only a hint: what it
/// says of its object may be out of date, so nothing is booked from it.
public struct StripeEvent: StripeObject, Listed, Hashable {
    /// What can be read of `data.object`, without trusting any of it.
    public struct Subject: Sendable, Hashable {
        /// `payment_intent`, `checkout.session`, …
        public var object: String?
        public var id: String?
        /// Of whatever refers to one; the id also where it is expanded.
        public var paymentIntent: String?
        public var clientReferenceID: String?
        public var metadata: [String: String] = [:]
        /// It says that it has none, as charges do that were made without one, their refunds and their disputes.
        public var isWithoutPaymentIntent = false

        /// A session and a payment intent have what they were made with, and a charge has that of its payment intent; a
        /// refund or a dispute has its own.
        public var carriesPaymentMetadata: Bool {
            ["checkout.session", "payment_intent", "charge"].contains(self.object)
        }
    }

    /// `evt_…`
    public var id: String
    public var livemode: Bool?
    public var type: String
    /// Seconds since 1970.
    public var createdAt: Int64
    /// Of the endpoint that the event was made for.
    public var apiVersion: String?
    public var subject: Subject
    /// The event as it came: of a listing, the same JSON with its keys sorted.
    public fileprivate(set) var json = ""

    private enum CodingKeys: String, CodingKey {
        case id, livemode, type, created, data
        case apiVersion = "api_version"
    }

    private enum DataKeys: String, CodingKey { case object }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.id = try values.decode(String.self, forKey: .id)
        self.livemode = try values.decode(Bool.self, forKey: .livemode)
        self.type = try values.decode(String.self, forKey: .type)
        self.createdAt = try values.decode(Int64.self, forKey: .created)
        self.apiVersion = try values.decodeIfPresent(String.self, forKey: .apiVersion)
        self.subject = try values.nestedContainer(keyedBy: DataKeys.self, forKey: .data)
            .decode(Subject.self, forKey: .object)
    }

    /// - Parameter body: of a webhook request whose signature has been verified, byte for byte.
    /// - Throws: `.unreadableReply`, `.wrongLivemode`
    public static func parse(_ body: [UInt8], isLive: Bool) throws(StripeFailure) -> StripeEvent {
        try Self.parse(StripeReply(body: body, requestID: nil, isLive: isLive, isToPost: false))
    }

    static func parse(_ reply: StripeReply) throws(StripeFailure) -> StripeEvent {
        var event = try reply.decode(StripeEvent.self)
        event.json = String(decoding: reply.body, as: UTF8.self)
        return event
    }

    public static func page(from reply: StripeReply) throws(StripeFailure) -> Page<StripeEvent> {
        var page = try reply.decode(Page<StripeEvent>.self)
        guard let list = (try? JSONSerialization.jsonObject(with: Data(reply.body))) as? [String: Any],
            let items = list["data"] as? [[String: Any]], items.count == page.data.count
        else { throw reply.failure(.unreadableReply) }
        for (index, item) in items.enumerated() {
            guard
                let json = try? JSONSerialization.data(
                    withJSONObject: item, options: [.sortedKeys, .withoutEscapingSlashes])
            else { throw reply.failure(.unreadableReply) }
            page.data[index].json = String(decoding: json, as: UTF8.self)
        }
        return page
    }
}

extension StripeEvent.Subject: Decodable {
    private enum CodingKeys: String, CodingKey {
        case object, id, metadata
        case paymentIntent = "payment_intent"
        case clientReferenceID = "client_reference_id"
    }

    /// Events are about objects of every kind: a field that is of another type than we know is as good as
    /// absent.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.object = try? values.decode(String.self, forKey: .object)
        self.id = try? values.decode(String.self, forKey: .id)
        self.paymentIntent = try? values.id(.paymentIntent)
        let isNull =
            values.contains(.paymentIntent) && (try? values.decodeNil(forKey: .paymentIntent)) == true
        self.isWithoutPaymentIntent = isNull && ["charge", "refund", "dispute"].contains(self.object)
        if self.object == "payment_intent" { self.paymentIntent = self.id }
        self.clientReferenceID = try? values.decode(String.self, forKey: .clientReferenceID)
        self.metadata = (try? values.texts(.metadata)) ?? [:]
    }
}

import Testing

@testable import MockStripe

/// A world and the calls that a shop makes of it.
struct Shop {
    static let begin = 1_790_000_000_000
    static let secret = "whsec_test"

    var world: StripeWorld
    /// Milliseconds since 1970, moved by hand.
    var now = Shop.begin

    init(webhook: Bool = true, seed: UInt64 = 7, key: String? = "sk_test_shop") {
        var settings = StripeWorld.Settings()
        settings.seed = seed
        settings.key = key
        settings.live = key?.hasPrefix("sk_live_") ?? false
        self.world = StripeWorld(settings)
        self.world.tick(self.now)
        if webhook { self.world.addEndpoint(url: "http://hook/", secret: Self.secret) }
    }

    static func request(
        _ method: String, _ path: String, _ form: String = "", key: String? = nil
    ) -> APIRequest {
        var request = APIRequest(method: method, path: path, authorization: "Bearer sk_test_shop")
        if method == "POST" { request.body = form } else { request.query = form }
        request.idempotencyKey = key
        return request
    }

    mutating func receive(_ request: APIRequest) -> Reception { self.world.receive(request, at: self.now) }

    /// The reply; a 599 when there is none at once.
    mutating func call(
        _ method: String, _ path: String, _ form: String = "", key: String? = nil
    ) -> APIReply {
        guard case .answer(let reply) = self.receive(Self.request(method, path, form, key: key)) else {
            return APIReply(status: 599, body: nil)
        }
        return reply
    }

    mutating func post(_ path: String, _ form: String = "", key: String? = nil) -> JSON {
        self.call("POST", path, form, key: key).body
    }

    mutating func get(_ path: String, _ query: String = "") -> JSON { self.call("GET", path, query).body }

    mutating func control(_ path: String, _ json: String) -> APIReply {
        var request = APIRequest(method: "POST", path: "/_mock/" + path, body: json)
        request.isJSON = true
        return self.world.control(request, at: self.now) ?? APIReply(status: 599, body: nil)
    }

    static let sessionForm =
        "mode=payment&success_url=https://shop/ok?id={CHECKOUT_SESSION_ID}&cancel_url=https://shop/no"
        + "&client_reference_id=p1&metadata[tollgate_purchase]=p1"
        + "&payment_intent_data[metadata][tollgate_purchase]=p1"
        + "&line_items[0][quantity]=1&line_items[0][price_data][currency]=usd"
        + "&line_items[0][price_data][unit_amount]=999&line_items[0][price_data][product_data][name]=Starter"

    /// The id of a new session of $9.99.
    mutating func session(_ more: String = "") -> String {
        self.post("/v1/checkout/sessions", Self.sessionForm + more)["id"]?.text ?? "none"
    }

    mutating func press(_ press: StripeWorld.Press, _ session: String) -> StripeWorld.PressAnswer {
        self.world.press(press, session: session, at: self.now)
    }

    /// The payment intent of a session that was paid with this button.
    mutating func paid(_ button: StripeWorld.Press = .card, _ more: String = "") -> String {
        let session = self.session(more)
        _ = self.press(button, session)
        return self.world.sessions[session]?.intent ?? "none"
    }

    /// The types of all events since the first `skipped`.
    func types(after skipped: Int = 0) -> [String] { self.world.events.rows.dropFirst(skipped).map(\.type) }

    /// Attempts whatever is due; `answer` gives the status of each.
    mutating func deliver(_ answer: (Delivery) -> Int = { _ in 200 }) -> [Delivery] {
        var sent: [Delivery] = []
        while let delivery = self.world.nextDelivery(at: self.now) {
            sent.append(delivery)
            self.world.deliveryEnded(delivery, status: answer(delivery), at: self.now)
        }
        return sent
    }
}

extension JSON {
    /// `json.at("data", "object", "id")`
    func at(_ names: String...) -> JSON? { names.reduce(self) { $0?[$1] } }
    var errorCode: String? { self.at("error", "code")?.text }
    var ids: [String] { self["data"]?.list?.compactMap { $0["id"]?.text } ?? [] }
}

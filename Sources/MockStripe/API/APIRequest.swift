/// A request as it came over the wire.
public struct APIRequest: Equatable, Sendable {
    public var method: String
    public var path: String
    public var query = ""
    public var body = ""
    /// The body is JSON, which only the control paths take.
    public var isJSON = false
    /// The headers `Authorization`, `Idempotency-Key` and `Stripe-Version`.
    public var authorization: String?
    public var idempotencyKey: String?
    public var version: String?

    public init(
        method: String, path: String, query: String = "", body: String = "", authorization: String? = nil
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.body = body
        self.authorization = authorization
    }

    /// POST takes parameters from the body, everything else from the query.
    var parameters: FormValue? {
        guard self.method == "POST" else { return FormValue(form: self.query) }
        guard self.isJSON else { return FormValue(form: self.body) }
        guard !self.body.isEmpty else { return FormValue.none }
        guard let json = JSON(parsing: self.body), case .object = json else { return nil }
        return FormValue(json)
    }
}

public struct APIReply: Equatable, Sendable {
    public struct Header: Equatable, Sendable {
        public let name: String
        public let value: String
    }

    public var status: Int
    public var headers: [Header] = []
    public var body: JSON

    public func header(_ name: String) -> String? { self.headers.first { $0.name == name }?.value }
}

/// What the server is to do with a request.
public enum Reception: Equatable, Sendable {
    case answer(APIReply)
    /// Call `resume` with the ticket after so long.
    case wait(milliseconds: Int, ticket: Int)
    /// Close the connection without an answer.
    case cut
    /// Never answer.
    case hang
}

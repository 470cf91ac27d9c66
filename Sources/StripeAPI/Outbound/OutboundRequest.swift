/// One request to another service.
public struct OutboundRequest: Sendable {
    public enum Method: String, Sendable, Hashable {
        case get = "GET"
        case post = "POST"
    }

    public struct Header: Sendable, Hashable {
        public var name: String
        public var value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public var method: Method
    public var base: OutboundBase
    /// Path and query, from the first slash; appended to the base.
    public var target: String
    public var headers: [Header]
    public var body: [UInt8]
    /// From the call to the last byte of the reply, waiting for a thread included. Never more than the
    /// configuration's.
    public var timeout: Duration?

    public init(
        _ method: Method, _ base: OutboundBase, target: String, headers: [Header] = [], body: [UInt8] = [],
        timeout: Duration? = nil
    ) {
        self.method = method
        self.base = base
        self.target = target
        self.headers = headers
        self.body = body
        self.timeout = timeout
    }

    /// What libcurl may be given: a line break in a header would be a header of its own, and an empty value
    /// would mean "remove this header".
    var isWellFormed: Bool {
        guard self.target.first == "/", self.target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            return false
        }
        return self.headers.allSatisfy { header in
            !header.name.isEmpty && !header.value.isEmpty
                && header.name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
                && header.value.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }
        }
    }
}

/// A whole reply. Redirects are replies like others: nothing follows them.
public struct OutboundReply: Sendable, Hashable {
    public var status: Int
    /// Names in lower case, in the order of the reply.
    public var headers: [OutboundRequest.Header]
    public var body: [UInt8]

    public init(status: Int, headers: [OutboundRequest.Header], body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The first of that name.
    /// - Parameter name: in lower case.
    public func header(_ name: String) -> String? { self.headers.first { $0.name == name }?.value }
}

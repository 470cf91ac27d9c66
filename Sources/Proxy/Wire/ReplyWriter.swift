import Metering
import NIOCore

/// Writes what goes down to the client: heads, chunk framing, our own answers.
enum ReplyWriter {
    /// What a reply says of its connection.
    enum Persistence {
        case close
        /// Kept, as HTTP/1.1 implies.
        case implied
        /// Kept, which a client of HTTP/1.0 must be told.
        case announced
    }

    enum Framing: Equatable {
        case length(Int)
        case chunked
        case closeDelimited
    }

    /// What Tollgate tells about an exchange (CONTRACT §4).
    struct Facts {
        var hold: HoldID
        var priceID: String?
        var held: Millicredits?
        var maxOutputTokens: Int64?
        /// The limit that was imposed on a request that declares hosted tools without one.
        var maxToolCalls: Int64?
        /// Of a stream: what happens upstream when its client goes away.
        var onDisconnect: DisconnectPolicy?
        /// Why nothing is charged.
        var waiver: Waiver?
        var charged: Millicredits?
        var balance: Millicredits?
        var limits: LimitReading = .none
        var nearCaps: [SpendCap] = []
    }

    /// The head of an upstream response: its status, the few fields that pass, and ours.
    static func upstreamHead(
        _ head: ResponseHead, bytes: ByteBuffer, framing: Framing, facts: Facts, persistence: Persistence,
        date: HTTPDate, into out: inout ByteBuffer
    ) {
        self.statusLine(head.status, into: &out)
        bytes.withUnsafeReadableBytes { raw in
            for field in head.fields where self.passes(raw, field.name) {
                out.writeBytes(UnsafeRawBufferPointer(rebasing: raw[field.line]))
            }
        }
        self.facts(facts, into: &out)
        self.common(framing, persistence: persistence, date: date, into: &out)
    }

    /// A whole answer of our own.
    static func refusal(
        _ refusal: Refusal, shape: Refusal.Shape, hold: HoldID?, persistence: Persistence, headOnly: Bool,
        date: HTTPDate,
        into out: inout ByteBuffer
    ) {
        let body = refusal.body(shape)
        self.statusLine(refusal.code.status, into: &out)
        out.writeStaticString("content-type: application/json\r\n")
        if let hold {
            var facts = Facts(hold: hold)
            facts.limits = refusal.limits
            self.facts(facts, into: &out)
        }
        if let seconds = refusal.retryAfterSeconds {
            out.writeStaticString("retry-after: ")
            out.writeDecimal(seconds)
            out.writeStaticString("\r\n")
        }
        if refusal.mustNotRetry { out.writeStaticString("x-should-retry: false\r\n") }
        if refusal.code == .methodNotAllowed { out.writeStaticString("allow: POST\r\n") }
        self.common(.length(body.utf8.count), persistence: persistence, date: date, into: &out)
        if !headOnly { out.writeString(body) }
    }

    /// A whole JSON answer of our own with status 200.
    static func json(
        _ body: String, hold: HoldID, persistence: Persistence, headOnly: Bool, date: HTTPDate,
        into out: inout ByteBuffer
    ) {
        self.statusLine(200, into: &out)
        out.writeStaticString("content-type: application/json\r\n")
        self.facts(Facts(hold: hold), into: &out)
        self.common(.length(body.utf8.count), persistence: persistence, date: date, into: &out)
        if !headOnly { out.writeString(body) }
    }

    // MARK: Bodies

    /// Nothing is written for an empty payload: a chunk of size 0 would end the body.
    static func beginChunk(_ count: Int, chunked: Bool, into out: inout ByteBuffer) {
        guard chunked, count > 0 else { return }
        out.writeHexadecimal(count)
        out.writeStaticString("\r\n")
    }

    static func endChunk(chunked: Bool, into out: inout ByteBuffer) {
        if chunked { out.writeStaticString("\r\n") }
    }

    static func endBody(chunked: Bool, into out: inout ByteBuffer) {
        if chunked { out.writeStaticString("0\r\n\r\n") }
    }

    // MARK: Parts

    static func statusLine(_ status: Int, into out: inout ByteBuffer) {
        if status == 200 {
            out.writeStaticString("HTTP/1.1 200 OK\r\n")
            return
        }
        out.writeStaticString("HTTP/1.1 ")
        out.writeDecimal(status)
        out.writeStaticString(" ")
        out.writeString(StatusReason.text(status))
        out.writeStaticString("\r\n")
    }

    static func common(
        _ framing: Framing, persistence: Persistence, date: HTTPDate, into out: inout ByteBuffer
    ) {
        out.writeBytes(date.field)
        switch framing {
        case .length(let length):
            out.writeStaticString("content-length: ")
            out.writeDecimal(length)
            out.writeStaticString("\r\n")
        case .chunked:
            out.writeStaticString("transfer-encoding: chunked\r\n")
        case .closeDelimited:
            break
        }
        self.persistence(persistence, into: &out)
        out.writeStaticString("\r\n")
    }

    static func persistence(_ persistence: Persistence, into out: inout ByteBuffer) {
        switch persistence {
        case .close: out.writeStaticString("connection: close\r\n")
        case .announced: out.writeStaticString("connection: keep-alive\r\n")
        case .implied: break
        }
    }

    static func facts(_ facts: Facts, into out: inout ByteBuffer) {
        out.writeStaticString("x-tollgate-request-id: ")
        facts.hold.withTextBytes { _ = out.writeBytes($0) }
        if let priceID = facts.priceID {
            out.writeStaticString("\r\nx-tollgate-price-id: ")
            out.writeString(priceID)
        }
        func amount(_ name: StaticString, _ value: Millicredits?) {
            guard let value else { return }
            out.writeStaticString(name)
            if value < .zero { out.writeStaticString("-") }
            out.writeDecimal(Int(value.value.magnitude))
        }
        amount("\r\nx-tollgate-held-millicredits: ", facts.held)
        if let tokens = facts.maxOutputTokens {
            out.writeStaticString("\r\nx-tollgate-max-output-tokens: ")
            out.writeDecimal(Int(tokens))
        }
        if let calls = facts.maxToolCalls {
            out.writeStaticString("\r\nx-tollgate-max-tool-calls: ")
            out.writeDecimal(Int(calls))
        }
        if let policy = facts.onDisconnect {
            out.writeStaticString("\r\nx-tollgate-on-disconnect: ")
            out.writeString(policy.rawValue)
        }
        if let waiver = facts.waiver {
            out.writeStaticString("\r\nx-tollgate-waived: ")
            out.writeString(waiver.rawValue)
        }
        amount("\r\nx-tollgate-charged-millicredits: ", facts.charged)
        amount("\r\nx-tollgate-balance-millicredits: ", facts.balance)
        self.limits(facts.limits, facts.nearCaps, into: &out)
        out.writeStaticString("\r\n")
    }

    /// Of upstream's fields only these: no organisation, project, cookie, or rate limit of the operator's.
    static func passes(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>) -> Bool {
        func named(_ wanted: StaticString) -> Bool { Characters.equal(bytes, name, wanted) }
        switch name.count {
        case 11: return named("retry-after")
        case 12: return named("content-type") || named("x-request-id")
        case 13: return named("cache-control")
        case 14: return named("openai-version") || named("retry-after-ms") || named("x-should-retry")
        case 20: return named("openai-processing-ms")
        default: return false
        }
    }
}

enum StatusReason {
    static func text(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 402: "Payment Required"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        default: "Status"
        }
    }
}

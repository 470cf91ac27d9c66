/// A validated request head. Ranges refer to the bytes it was parsed from; no text is made until someone
/// asks.
struct RequestHead: Sendable {
    enum Method: Sendable, Equatable { case get, head, post, put, patch, delete, options, other }

    let method: Method
    let methodRange: Range<Int>
    let targetRange: Range<Int>
    let minorVersion: Int
    let framing: BodyFraming
    /// The client is willing to use the connection again.
    let keepAlive: Bool
    let expectContinue: Bool
    /// The blank line included.
    let byteCount: Int
    private(set) var fields: ContiguousArray<FieldLine>
    /// Named in `Connection`: fields that end at this hop; a bounded number of them.
    let connectionOptions: ContiguousArray<Range<Int>>
    let authorization: Range<Int>?
    let contentEncoding: Range<Int>?
    let tollgateUser: Range<Int>?
    let tollgateReceipt: Range<Int>?
    let idempotencyKey: Range<Int>?
    /// nil as well when there are several: none of them can be believed.
    let traceparent: Range<Int>?

    /// The bytes that they stand in are not kept any longer.
    mutating func dropFields() { self.fields = [] }
}

/// Finds and checks a request head at the start of a connection's bytes.
struct RequestHeadSearch {
    private var search = HeadSearch()
    private let limits: HeadLimits

    init(limits: HeadLimits = HeadLimits()) { self.limits = limits }

    /// `bytes` start where they started in the call before, and may have grown.
    mutating func parse(_ bytes: UnsafeRawBufferPointer) -> HeadParse<RequestHead> {
        switch self.search.find(bytes, limits: self.limits) {
        case .incomplete: return .incomplete
        case .invalid(let fault): return .invalid(fault)
        case .end(let end): return RequestHeadParser.parse(bytes, end: end, limits: self.limits)
        }
    }
}

enum RequestHeadParser {
    /// - Parameter end: bytes of the head, as `HeadSearch` found it.
    static func parse(_ bytes: UnsafeRawBufferPointer, end: Int, limits: HeadLimits) -> HeadParse<RequestHead>
    {
        guard let line = RequestLine(bytes, end: end) else {
            return .invalid(RequestLine.fault(bytes, end: end))
        }
        var scan = FieldScan()
        if let fault = scan.scan(bytes, from: line.byteCount, to: end - 2, limits: limits) {
            return .invalid(fault)
        }
        var noted = NotedFields()
        for field in scan.fields {
            if let fault = noted.note(bytes, field) { return .invalid(fault) }
        }
        let expectsContinue = noted.expect.map { Characters.equal(bytes, $0, "100-continue") }
        if line.minorVersion == 1 && expectsContinue == false { return .invalid(.unknownExpectation) }
        if line.minorVersion == 1 && noted.host == nil { return .invalid(.missingHost) }
        if scan.isChunked && (scan.contentLength != nil || line.minorVersion == 0) {
            return .invalid(.lengthAndChunked)
        }
        let framing: BodyFraming = scan.isChunked ? .chunked : scan.contentLength.map { .length($0) } ?? .none
        return .complete(
            RequestHead(
                method: line.method, methodRange: line.methodRange, targetRange: line.targetRange,
                minorVersion: line.minorVersion, framing: framing,
                keepAlive: scan.keepsAlive(minorVersion: line.minorVersion),
                // HTTP/1.0 knows no interim responses (RFC 9110 §10.1.1).
                expectContinue: expectsContinue == true && line.minorVersion == 1, byteCount: end,
                fields: scan.fields,
                connectionOptions: scan.connectionOptions, authorization: noted.authorization,
                contentEncoding: noted.contentEncoding, tollgateUser: noted.tollgateUser,
                tollgateReceipt: noted.tollgateReceipt, idempotencyKey: noted.idempotencyKey,
                traceparent: noted.traceparents == 1 ? noted.traceparent : nil))
    }
}

/// `METHOD SP target SP HTTP/1.x CRLF`, single spaces only.
private struct RequestLine {
    let method: RequestHead.Method
    let methodRange: Range<Int>
    let targetRange: Range<Int>
    let minorVersion: Int
    let byteCount: Int

    init?(_ bytes: UnsafeRawBufferPointer, end: Int) {
        var at = 0
        while at < end, Characters.isToken(bytes[at]) { at += 1 }
        guard at > 0, at < end, bytes[at] == 0x20, at <= 32 else { return nil }
        self.methodRange = 0..<at
        let targetStart = at + 1
        at = targetStart
        while at < end, bytes[at] > 0x20, bytes[at] < 0x7f { at += 1 }
        guard at > targetStart, at + 10 < end, bytes[at] == 0x20 else { return nil }
        self.targetRange = targetStart..<at
        let version: StaticString = "HTTP/1."
        for index in 0..<7 where bytes[at + 1 + index] != version.utf8Start[index] { return nil }
        let minor = bytes[at + 8]
        guard minor == 0x30 || minor == 0x31, bytes[at + 9] == 0x0d, bytes[at + 10] == 0x0a else {
            return nil
        }
        self.minorVersion = Int(minor - 0x30)
        self.byteCount = at + 11
        // A method that nobody here knows is more likely the body of the request before.
        guard let method = Self.method(bytes, self.methodRange) else { return nil }
        self.method = method
    }

    /// Names what is wrong with a line that `init` refused.
    static func fault(_ bytes: UnsafeRawBufferPointer, end: Int) -> HeadFault {
        var at = 0
        while at < end, Characters.isToken(bytes[at]) { at += 1 }
        guard at > 0, at <= 32, at < end, bytes[at] == 0x20, Self.method(bytes, 0..<at) != nil else {
            return .badMethod
        }
        let start = at + 1
        at = start
        while at < end, bytes[at] > 0x20, bytes[at] < 0x7f { at += 1 }
        if at == start || at >= end || bytes[at] != 0x20 { return .badTarget }
        return .badVersion
    }

    private static func method(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> RequestHead.Method? {
        // Methods are case-sensitive; a lower-case one is a method of its own.
        func named(_ name: StaticString) -> Bool {
            range.count == name.utf8CodeUnitCount
                && range.allSatisfy { bytes[$0] == name.utf8Start[$0 - range.lowerBound] }
        }
        switch range.count {
        case 3: return named("GET") ? .get : named("PUT") ? .put : nil
        case 4: return named("POST") ? .post : named("HEAD") ? .head : nil
        case 5: return named("PATCH") ? .patch : named("TRACE") ? .other : nil
        case 6: return named("DELETE") ? .delete : nil
        case 7: return named("OPTIONS") ? .options : named("CONNECT") ? .other : nil
        default: return nil
        }
    }
}

/// The request fields that Tollgate reads. Those that decide who pays, or what the body is, may come once
/// only.
private struct NotedFields {
    var host: Range<Int>?
    var authorization: Range<Int>?
    var contentType: Range<Int>?
    var contentEncoding: Range<Int>?
    var tollgateUser: Range<Int>?
    var tollgateReceipt: Range<Int>?
    var idempotencyKey: Range<Int>?
    var expect: Range<Int>?
    var traceparent: Range<Int>?
    var traceparents = 0

    mutating func note(_ bytes: UnsafeRawBufferPointer, _ field: FieldLine) -> HeadFault? {
        func once(_ slot: inout Range<Int>?, _ name: StaticString) -> HeadFault? {
            guard Characters.equal(bytes, field.name, name) else { return nil }
            guard slot == nil else { return .repeatedField }
            slot = field.value
            return nil
        }
        switch field.name.count {
        case 4:
            if let fault = once(&self.host, "host") { return fault }
            return self.host == field.value && !Characters.isHost(bytes, field.value) ? .badHost : nil
        case 6: return once(&self.expect, "expect")
        case 11 where Characters.equal(bytes, field.name, "traceparent"):
            self.traceparent = field.value
            self.traceparents += 1
            return nil
        case 12: return once(&self.contentType, "content-type")
        case 13: return once(&self.authorization, "authorization")
        case 15:
            return once(&self.tollgateUser, "x-tollgate-user")
                ?? once(&self.idempotencyKey, "idempotency-key")
        case 16: return once(&self.contentEncoding, "content-encoding")
        case 18: return once(&self.tollgateReceipt, "x-tollgate-receipt")
        default: return nil
        }
    }
}

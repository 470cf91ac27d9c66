/// A validated response head of the upstream. Ranges refer to the bytes it was parsed from.
struct ResponseHead: Sendable {
    let status: Int
    let minorVersion: Int
    /// As the fields say it; what the request was is the connection's knowledge (`framing(for:)`).
    let contentLength: Int?
    let isChunked: Bool
    let keepAlive: Bool
    let byteCount: Int
    private(set) var fields: ContiguousArray<FieldLine>
    let contentType: Range<Int>?
    /// At most `contentEncodingBytesMax` long, so that whoever asks for the coding can read all of it.
    let contentEncoding: Range<Int>?
    let requestID: Range<Int>?
    let retryAfter: Range<Int>?

    static let contentEncodingBytesMax = 128

    /// The bytes that they stand in are not kept any longer.
    mutating func dropFields() { self.fields = [] }

    /// 1xx: another head follows.
    var isInterim: Bool { self.status < 200 }

    /// Where the body ends, given that the request was a HEAD or not (RFC 9112 §6.3).
    func framing(forHead isHead: Bool) -> BodyFraming {
        if isHead || self.isInterim || self.status == 204 || self.status == 304 { return .none }
        if self.isChunked { return .chunked }
        if let length = self.contentLength { return length == 0 ? .none : .length(length) }
        return .untilClose
    }
}

/// Finds and checks a response head at the start of a connection's bytes; held to the same rules as requests.
struct ResponseHeadSearch {
    private var search = HeadSearch()
    private let limits: HeadLimits

    init(limits: HeadLimits = HeadLimits()) { self.limits = limits }

    mutating func parse(_ bytes: UnsafeRawBufferPointer) -> HeadParse<ResponseHead> {
        switch self.search.find(bytes, limits: self.limits) {
        case .incomplete: return .incomplete
        case .invalid(let fault): return .invalid(fault)
        case .end(let end): return Self.parse(bytes, end: end, limits: self.limits)
        }
    }

    private static func parse(
        _ bytes: UnsafeRawBufferPointer, end: Int, limits: HeadLimits
    ) -> HeadParse<ResponseHead> {
        guard let line = StatusLine(bytes, end: end) else { return .invalid(.badStatusLine) }
        var scan = FieldScan()
        if let fault = scan.scan(bytes, from: line.byteCount, to: end - 2, limits: limits) {
            return .invalid(fault)
        }
        if scan.isChunked && (scan.contentLength != nil || line.minorVersion == 0) {
            return .invalid(.lengthAndChunked)
        }
        // HTTP/1.0 has no interim responses: who takes one for the final response ends elsewhere.
        // Nor can one be the last of its connection.
        if line.status < 200, line.minorVersion == 0 || !scan.keepsAlive(minorVersion: 1) {
            return .invalid(.badStatusLine)
        }
        var noted = NotedResponseFields()
        for field in scan.fields {
            if let fault = noted.note(bytes, field) { return .invalid(fault) }
        }
        return .complete(
            ResponseHead(
                status: line.status, minorVersion: line.minorVersion, contentLength: scan.contentLength,
                isChunked: scan.isChunked,
                keepAlive: scan.keepsAlive(minorVersion: line.minorVersion),
                byteCount: end, fields: scan.fields, contentType: noted.contentType,
                contentEncoding: noted.contentEncoding, requestID: noted.requestID,
                retryAfter: noted.retryAfter))
    }
}

/// The response fields that Tollgate reads. Those that say how the body is to be read, and so what it costs, may come
/// once only: a client may believe the other one.
private struct NotedResponseFields {
    var contentType: Range<Int>?
    var contentEncoding: Range<Int>?
    var requestID: Range<Int>?
    var retryAfter: Range<Int>?

    mutating func note(_ bytes: UnsafeRawBufferPointer, _ field: FieldLine) -> HeadFault? {
        func named(_ name: StaticString) -> Bool { Characters.equal(bytes, field.name, name) }
        switch field.name.count {
        case 11 where named("retry-after"): self.retryAfter = field.value
        case 12 where named("x-request-id"): self.requestID = field.value
        case 12 where named("content-type"):
            guard self.contentType == nil else { return .repeatedField }
            self.contentType = field.value
        case 16 where named("content-encoding"):
            guard self.contentEncoding == nil else { return .repeatedField }
            guard field.value.count <= ResponseHead.contentEncodingBytesMax else { return .longContentCoding }
            self.contentEncoding = field.value
        default: break
        }
        return nil
    }
}

/// `HTTP/1.x SP 3DIGIT [SP reason] CRLF`
private struct StatusLine {
    let status: Int
    let minorVersion: Int
    let byteCount: Int

    init?(_ bytes: UnsafeRawBufferPointer, end: Int) {
        let version: StaticString = "HTTP/1."
        guard end >= 15 else { return nil }
        for index in 0..<7 where bytes[index] != version.utf8Start[index] { return nil }
        guard bytes[7] == 0x30 || bytes[7] == 0x31, bytes[8] == 0x20 else { return nil }
        guard let status = Characters.decimal(bytes, 9..<12), (100...599).contains(status) else { return nil }
        var at = 12
        guard bytes[at] == 0x20 || bytes[at] == 0x0d else { return nil }
        while at < end, Characters.isFieldValue(bytes[at]) { at += 1 }
        guard at + 1 < end, bytes[at] == 0x0d, bytes[at + 1] == 0x0a else { return nil }
        self.status = status
        self.minorVersion = Int(bytes[7] - 0x30)
        self.byteCount = at + 2
    }
}

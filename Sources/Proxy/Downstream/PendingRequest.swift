import NIOCore

/// A request whose head is known and whose body is being collected.
final class PendingRequest {
    enum TakeResult {
        case needMore, complete, tooLarge
        case invalid(HeadFault)
    }

    private(set) var head: RequestHead
    /// Holds the bytes that the ranges of `head` refer to, until `slim`.
    private(set) var headBytes: ByteBuffer
    let plane: Plane
    let bodyBytesMax: Int
    private(set) var body = ByteBuffer()
    private var decoder: ChunkedDecoder?
    private var bytesOfBody = 0
    /// The client asked for the charge in a comment line before the end of a stream.
    let wantsReceipt: Bool

    init(head: RequestHead, headBytes: ByteBuffer, plane: Plane, bodyBytesMax: Int) {
        self.head = head
        self.headBytes = headBytes
        self.plane = plane
        self.bodyBytesMax = bodyBytesMax
        self.wantsReceipt = headBytes.withUnsafeReadableBytes { bytes in
            head.tollgateReceipt.map { Characters.equal(bytes, $0, "sse") } ?? false
        }
        if case .chunked = head.framing { self.decoder = ChunkedDecoder() }
    }

    var exceedsLimit: Bool {
        if case .length(let length) = self.head.framing { return length > self.bodyBytesMax }
        return false
    }

    /// No body is to come.
    var isComplete: Bool {
        switch self.head.framing {
        case .none, .untilClose: true
        case .length(let length): length == 0
        case .chunked: false
        }
    }

    func take(from inbox: inout ByteBuffer) -> TakeResult {
        switch self.head.framing {
        case .none, .untilClose:  // requests are never close-delimited (RFC 9112 §6.3)
            return .complete
        case .length(let length):
            guard let body = inbox.readSlice(length: length) else { return .needMore }
            self.body = body
            return .complete
        case .chunked:
            return self.takeChunks(from: &inbox)
        }
    }

    private func takeChunks(from inbox: inout ByteBuffer) -> TakeResult {
        guard var decoder = self.decoder else { return .complete }
        var consumed = 0
        var result = TakeResult.needMore
        inbox.withUnsafeReadableBytes { bytes in
            decoding: while true {
                switch decoder.next(in: bytes, from: consumed) {
                case .payload(let range, let to):
                    consumed = to
                    guard self.body.readableBytes + range.count <= self.bodyBytesMax else {
                        result = .tooLarge
                        break decoding
                    }
                    self.body.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[range]))
                case .needMore(let to):
                    consumed = to
                    break decoding
                case .end(let to):
                    consumed = to
                    result = .complete
                    break decoding
                case .invalid:
                    result = .invalid(.badChunk)
                    break decoding
                }
            }
        }
        inbox.moveReaderIndex(forwardBy: consumed)
        self.decoder = decoder
        return result
    }

    /// Upstream answers: the request is never sent again, and nothing more is read of it. A stream that runs for
    /// minutes keeps no byte of its request.
    func slim() {
        self.bytesOfBody = max(self.bytesOfBody, self.body.readableBytes)
        self.body = ByteBuffer()
        self.headBytes = ByteBuffer()
        self.head.dropFields()
    }

    /// Head and body, the framing of chunks taken off.
    var bytesTaken: Int { self.head.byteCount + max(self.bytesOfBody, self.body.readableBytes) }

    var method: String {
        switch self.head.method {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .patch: "PATCH"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .other: self.text(self.head.methodRange) ?? "OTHER"
        }
    }

    /// The raw path, without the query.
    var path: String {
        switch self.plane {
        case .data(.metered(.chat)): "/v1/chat/completions"
        case .data(.aiChat): "/api/ai/chat"
        case .data, .control, .rateCard, .invalid:
            self.text(self.head.targetRange).map { String($0.prefix { $0 != "?" }) } ?? ""
        }
    }

    /// The text of a field value; nil when there is none, or when the head is not kept any more.
    func text(_ range: Range<Int>?) -> String? {
        guard let range, range.upperBound <= self.headBytes.readableBytes else { return nil }
        return self.headBytes.withUnsafeReadableBytes { String(decoding: $0[range], as: UTF8.self) }
    }

    func controlRequest(channel: any Channel, client: ClientAddress) -> ControlRequest {
        let fields = self.head.fields.map { field in
            (name: self.text(field.name) ?? "", value: self.text(field.value) ?? "")
        }
        return ControlRequest(
            method: self.text(self.head.methodRange) ?? "", target: self.text(self.head.targetRange) ?? "",
            fields: fields, body: self.body, channel: channel, client: "\(client)")
    }
}

extension RequestHead {
    /// A client of HTTP/1.0 that asked to keep the connection must be told that it is kept.
    var announcesKeepAlive: Bool { self.minorVersion == 0 && self.keepAlive }
}

extension Plane {
    var errorShape: Refusal.Shape {
        switch self {
        case .data(.aiChat), .control, .rateCard: .api
        case .data, .invalid: .openAI
        }
    }

    var metricLabel: DataRoute.Label {
        switch self {
        case .data(let route): route.label
        case .control, .rateCard: .control
        case .invalid: .invalid
        }
    }
}

import NIOConcurrencyHelpers
import NIOCore

/// Writes a control-plane response to the client's socket, and waits for it (back-pressure).
final class ControlReplyWriter: ControlResponseWriting, Sendable {
    private let channel: any Channel
    private let headOnly: Bool
    private let close: Bool
    private let chunkedAllowed: Bool
    private let announcesKeepAlive: Bool
    private let framing = NIOLockedValueBox(Framing.none)
    private let sent = NIOLockedValueBox(Sent())

    private struct Sent {
        var status: Int?
        var requestID: String?
        var bytes = 0
        /// A piece waits for the socket, and the client has taken nothing since then, as far as was seen.
        var waitingSince: NIODeadline?
        /// What the client's kernel had taken when it was last looked at.
        var acknowledged: UInt64?
    }

    private enum Framing: Sendable { case none, bodiless, length, chunked, closeDelimited }

    struct HeadMissing: Error {}
    /// The reply is whole; to its client it ends with the connection, which the caller closes.
    struct EndsWithConnection: Error {}

    init(channel: any Channel, headOnly: Bool, close: Bool, chunkedAllowed: Bool, announcesKeepAlive: Bool) {
        self.channel = channel
        self.headOnly = headOnly
        self.close = close
        self.chunkedAllowed = chunkedAllowed
        self.announcesKeepAlive = announcesKeepAlive
    }

    /// nil until the head was written.
    var status: Int? { self.sent.withLockedValue { $0.status } }
    /// As the client is told it.
    var requestID: String? { self.sent.withLockedValue { $0.requestID } }
    /// Framing included.
    var bytesWritten: Int { self.sent.withLockedValue { $0.bytes } }

    /// Whether the client has taken nothing of what waits for it since then. Asked a few times per second, on the
    /// channel's loop: what a slow client takes shows in the kernel long before the socket has room for more.
    func isStalled(since deadline: NIODeadline) -> Bool {
        guard self.sent.withLockedValue({ $0.waitingSince != nil }) else { return false }
        // nil for a stream of HTTP/2.
        let acknowledged = TCPState.of(self.channel)?.bytesAcknowledged
        return self.sent.withLockedValue { sent in
            guard let since = sent.waitingSince else { return false }
            if acknowledged != sent.acknowledged {
                sent.acknowledged = acknowledged
                sent.waitingSince = .now()
                return false
            }
            return since <= deadline
        }
    }

    func head(_ head: ControlResponseHead) async throws {
        var date = HTTPDate()
        date.update()
        var out = self.channel.allocator.buffer(capacity: 512)
        out.writeString("HTTP/1.1 \(head.status) \(head.reason)\r\n")
        var hasLength = false
        for field in head.fields where !Self.isOurs(field.name) {
            if field.name.lowercased() == "content-length" {
                // RFC 9110 §8.6: there is no body that it could be the length of.
                if head.status == 204 { continue }
                hasLength = true
            }
            out.writeString("\(field.name): \(field.value)\r\n")
        }
        out.writeBytes(date.field)
        let framing: Framing =
            self.headOnly || head.status == 204 || head.status == 304
            ? .bodiless : hasLength ? .length : self.chunkedAllowed ? .chunked : .closeDelimited
        if framing == .chunked { out.writeStaticString("transfer-encoding: chunked\r\n") }
        let closes = self.close || framing == .closeDelimited
        ReplyWriter.persistence(closes ? .close : self.announcesKeepAlive ? .announced : .implied, into: &out)
        out.writeStaticString("\r\n")
        self.framing.withLockedValue { $0 = framing }
        let id = head.fields.first { $0.name.lowercased() == "x-tollgate-request-id" }?.value
        self.sent.withLockedValue {
            $0.status = head.status
            $0.requestID = id
        }
        try await self.send(out)
    }

    func body(_ bytes: ByteBuffer) async throws {
        switch self.framing.withLockedValue({ $0 }) {
        case .none: throw HeadMissing()
        // To the client it would be the beginning of the next reply.
        case .bodiless: return
        case .length, .closeDelimited: try await self.send(bytes)
        case .chunked:
            var out = self.channel.allocator.buffer(capacity: bytes.readableBytes + 16)
            ReplyWriter.beginChunk(bytes.readableBytes, chunked: true, into: &out)
            guard out.readableBytes > 0 else { return }
            out.writeImmutableBuffer(bytes)
            ReplyWriter.endChunk(chunked: true, into: &out)
            try await self.send(out)
        }
    }

    /// After the responder returned. Throws when the connection cannot be used any further.
    func end() async throws {
        switch self.framing.withLockedValue({ $0 }) {
        case .none: throw HeadMissing()
        case .closeDelimited: throw EndsWithConnection()
        case .bodiless, .length: return
        case .chunked: try await self.send(ByteBuffer(staticString: "0\r\n\r\n"))
        }
    }

    /// A frame of HTTP/2: of a larger write nothing would show that the client takes it piece by piece.
    private static let pieceBytesMax = 16 << 10

    private func send(_ bytes: ByteBuffer) async throws {
        var bytes = bytes
        while let piece = bytes.readSlice(length: min(bytes.readableBytes, Self.pieceBytesMax)),
            piece.readableBytes > 0
        {
            self.sent.withLockedValue { sent in
                sent.bytes += piece.readableBytes
                sent.waitingSince = .now()
            }
            try await self.channel.writeAndFlush(piece)
        }
        self.sent.withLockedValue { $0.waitingSince = nil }
    }

    /// Fields that belong to this hop; the data plane writes them itself.
    private static func isOurs(_ name: String) -> Bool {
        ["date", "connection", "keep-alive", "transfer-encoding"].contains(name.lowercased())
    }
}

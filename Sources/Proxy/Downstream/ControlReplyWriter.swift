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
        var bytes = 0
        /// When the write that is under way began.
        var writingSince: NIODeadline?
    }

    private enum Framing: Sendable { case none, length, chunked, closeDelimited }

    struct HeadMissing: Error {}

    /// nil until the head was written.
    var status: Int? { self.sent.withLockedValue { $0.status } }
    /// Framing included.
    var bytesWritten: Int { self.sent.withLockedValue { $0.bytes } }

    private func send(_ bytes: ByteBuffer, status: Int? = nil) async throws {
        self.sent.withLockedValue { sent in
            sent.status = status ?? sent.status
            sent.bytes += bytes.readableBytes
            sent.writingSince = .now()
        }
        try await self.channel.writeAndFlush(bytes)
        self.sent.withLockedValue { $0.writingSince = nil }
    }

    /// Whether the socket has been taking nothing of one write since then.
    func isStalled(since deadline: NIODeadline) -> Bool {
        self.sent.withLockedValue { $0.writingSince.map { $0 <= deadline } ?? false }
    }

    init(channel: any Channel, headOnly: Bool, close: Bool, chunkedAllowed: Bool, announcesKeepAlive: Bool) {
        self.channel = channel
        self.headOnly = headOnly
        self.close = close
        self.chunkedAllowed = chunkedAllowed
        self.announcesKeepAlive = announcesKeepAlive
    }

    func head(_ head: ControlResponseHead) async throws {
        var date = HTTPDate()
        date.update()
        var out = self.channel.allocator.buffer(capacity: 512)
        out.writeString("HTTP/1.1 \(head.status) \(head.reason)\r\n")
        var hasLength = false
        for field in head.fields where !Self.isOurs(field.name) {
            hasLength = hasLength || field.name.lowercased() == "content-length"
            out.writeString("\(field.name): \(field.value)\r\n")
        }
        out.writeBytes(date.field)
        let bodiless = self.headOnly || head.status == 204 || head.status == 304
        let framing: Framing =
            bodiless || hasLength ? .length : self.chunkedAllowed ? .chunked : .closeDelimited
        if framing == .chunked { out.writeStaticString("transfer-encoding: chunked\r\n") }
        let closes = self.close || framing == .closeDelimited
        ReplyWriter.persistence(closes ? .close : self.announcesKeepAlive ? .announced : .implied, into: &out)
        out.writeStaticString("\r\n")
        self.framing.withLockedValue { $0 = framing }
        try await self.send(out, status: head.status)
    }

    func body(_ bytes: ByteBuffer) async throws {
        guard !self.headOnly, bytes.readableBytes > 0 else { return }
        guard self.framing.withLockedValue({ $0 }) == .chunked else {
            try await self.send(bytes)
            return
        }
        var out = self.channel.allocator.buffer(capacity: bytes.readableBytes + 16)
        ReplyWriter.beginChunk(bytes.readableBytes, chunked: true, into: &out)
        out.writeImmutableBuffer(bytes)
        ReplyWriter.endChunk(chunked: true, into: &out)
        try await self.send(out)
    }

    /// After the responder returned. Throws when the connection cannot be used any further.
    func end() async throws {
        switch self.framing.withLockedValue({ $0 }) {
        case .none, .closeDelimited: throw HeadMissing()
        case .length: return
        case .chunked:
            guard !self.headOnly else { return }
            try await self.send(ByteBuffer(staticString: "0\r\n\r\n"))
        }
    }

    /// Fields that belong to this hop; the data plane writes them itself.
    private static func isOurs(_ name: String) -> Bool {
        ["date", "connection", "keep-alive", "transfer-encoding"].contains(name.lowercased())
    }
}

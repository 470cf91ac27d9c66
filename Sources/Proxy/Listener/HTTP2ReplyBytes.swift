import NIOCore
import NIOHPACK
import NIOHTTP2

/// Reads the bytes of an HTTP/1.1 reply as they are written, and makes frames of them. The connection that writes
/// them is ours, so what it cannot read is a defect and not an attack.
struct HTTP2ReplyBytes {
    private enum State {
        case head
        case length(Int)
        case chunked(ChunkedDecoder)
        case untilClose
        case complete
    }

    private var state: State = .head
    /// HTTP has no body for such a reply, whatever its writer wrote.
    private var isBodiless = false
    private var inbox = ByteBuffer()
    private var search = ResponseHeadSearch()

    /// END_STREAM was written.
    var isComplete: Bool {
        get { if case .complete = self.state { true } else { false } }
        set { if newValue { self.state = .complete } }
    }

    /// Only the connection's end ends the body.
    var endsWithConnection: Bool { if case .untilClose = self.state { true } else { false } }

    /// nil: the bytes are not a reply.
    mutating func frames(
        for bytes: ByteBuffer, isHead: Bool, allocator: ByteBufferAllocator
    ) -> [HTTP2Frame.FramePayload]? {
        var bytes = bytes
        if self.inbox.readableBytes == 0 { self.inbox = bytes } else { self.inbox.writeBuffer(&bytes) }
        var frames: [HTTP2Frame.FramePayload] = []
        while self.inbox.readableBytes > 0 {
            let before = self.inbox.readableBytes
            guard self.step(&frames, isHead: isHead) else { return nil }
            if self.inbox.readableBytes == before { break }
        }
        // Between two chunks a stream keeps no memory for them.
        if self.inbox.readableBytes == 0 { self.inbox = ByteBuffer() }
        return frames
    }

    private mutating func step(_ frames: inout [HTTP2Frame.FramePayload], isHead: Bool) -> Bool {
        switch self.state {
        case .head:
            return self.head(&frames, isHead: isHead)
        case .length(let left):
            guard let payload = self.inbox.readSlice(length: min(left, self.inbox.readableBytes)) else {
                return false
            }
            let rest = left - payload.readableBytes
            self.state = rest == 0 ? .complete : .length(rest)
            frames.append(.data(.init(data: .byteBuffer(payload), endStream: rest == 0)))
            return true
        case .chunked(let decoder):
            return self.chunk(decoder, &frames)
        case .untilClose:
            frames.append(.data(.init(data: .byteBuffer(self.inbox), endStream: false)))
            self.inbox = ByteBuffer()
            return true
        case .complete:
            // One stream carries one reply. The body of a refusal that was written without knowing that HEAD was asked
            // for ends here.
            self.inbox = ByteBuffer()
            return self.isBodiless
        }
    }

    private mutating func head(_ frames: inout [HTTP2Frame.FramePayload], isHead: Bool) -> Bool {
        switch self.inbox.withUnsafeReadableBytes({ self.search.parse($0) }) {
        case .incomplete:
            return true
        case .invalid:
            return false
        case .complete(let head):
            self.search = ResponseHeadSearch()
            guard let bytes = self.inbox.readSlice(length: head.byteCount) else { return false }
            let framing = head.framing(forHead: isHead)
            self.isBodiless = isHead || head.status == 204 || head.status == 304
            switch framing {
            case .none: self.state = head.isInterim ? .head : .complete
            case .length(let length): self.state = .length(length)
            case .chunked: self.state = .chunked(ChunkedDecoder())
            case .untilClose: self.state = .untilClose
            }
            let ends = framing == .none && !head.isInterim
            frames.append(.headers(.init(headers: Self.headers(head, bytes), endStream: ends)))
            return true
        }
    }

    private mutating func chunk(
        _ decoder: ChunkedDecoder, _ frames: inout [HTTP2Frame.FramePayload]
    ) -> Bool {
        var decoder = decoder
        let step = self.inbox.withUnsafeReadableBytes { decoder.next(in: $0, from: 0) }
        self.state = .chunked(decoder)
        switch step {
        case .payload(let range, let consumed):
            guard
                let payload = self.inbox.getSlice(
                    at: self.inbox.readerIndex + range.lowerBound, length: range.count)
            else { return false }
            self.inbox.moveReaderIndex(forwardBy: consumed)
            frames.append(.data(.init(data: .byteBuffer(payload), endStream: false)))
        case .needMore(let consumed):
            self.inbox.moveReaderIndex(forwardBy: consumed)
        case .end(let consumed):
            self.inbox.moveReaderIndex(forwardBy: consumed)
            self.state = .complete
            frames.append(.data(.init(data: .byteBuffer(ByteBuffer()), endStream: true)))
        case .invalid:
            return false
        }
        return true
    }

    /// Without the fields that belong to one hop of HTTP/1.1 (RFC 9113 §8.2.2), and without the length of a body that
    /// does not follow, which NIOHTTP2 would take at its word.
    private static func headers(_ head: ResponseHead, _ bytes: ByteBuffer) -> HPACKHeaders {
        var headers = HPACKHeaders()
        headers.add(name: ":status", value: String(head.status))
        bytes.withUnsafeReadableBytes { raw in
            for field in head.fields {
                let name = String(decoding: raw[field.name], as: UTF8.self).lowercased()
                guard !Self.hopByHop.contains(name) else { continue }
                if name == "content-length", head.status == 204 || head.status == 304 { continue }
                headers.add(name: name, value: String(decoding: raw[field.value], as: UTF8.self))
            }
        }
        return headers
    }

    private static let hopByHop: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
    ]
}

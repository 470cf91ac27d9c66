import NIOCore
import NIOHPACK
import NIOHTTP2

/// One stream to the upstream as the bytes of an HTTP/1.1 connection with one request on it: what
/// `UpstreamConnection` sends becomes frames, and frames become the bytes of a response, which then pass its strict
/// framing. Back-pressure passes through: a connection that reads no more stops the stream's window from growing.
final class HTTP2ClientStream: ChannelDuplexHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = HTTP2Frame.FramePayload

    /// Upstream did not process this stream, as HTTP/2 tells, or never heard of it: the request may be sent again
    /// (RFC 9113 §8.7).
    struct NotProcessed {}

    /// How far the request has come.
    private enum Request {
        case unwritten
        /// NIOHTTP2 has it, and may keep it: while the socket is full, or upstream takes no more streams. Can become:
        ///  - `.sent` when its HEADERS go on
        ///  - `.dropped` when the stream ends before
        case held
        /// Whether upstream looked at it is upstream's to say from here on.
        case sent
        /// It will never be sent.
        case dropped
    }

    private enum Response {
        case head
        case body(chunked: Bool)
        case ended
    }

    private var request: Request = .unwritten
    private var response: Response = .head
    private let session: UpstreamHTTP2
    private var context: ChannelHandlerContext?

    /// - Parameter session: the connection's handler, which knows why streams end.
    init(_ session: UpstreamHTTP2) { self.session = session }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    // MARK: The request's bytes

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        var bytes = self.unwrapOutboundIn(data)
        var search = RequestHeadSearch(limits: HeadLimits(bytesMax: .max, fieldsMax: .max))
        guard case .complete(let head) = bytes.withUnsafeReadableBytes({ search.parse($0) }),
            let headBytes = bytes.readSlice(length: head.byteCount)
        else {
            // Our own request cannot be read: a defect, and nothing was sent.
            self.refuse(ChannelError.operationUnsupported, promise, context)
            return
        }
        let headers = Self.headers(head, headBytes)
        guard HTTP2HeaderBlock.fits(headers, frameBytesMax: self.session.frameBytesMax) else {
            self.refuse(HTTP2HeaderBlock.TooLong(), promise, context)
            return
        }
        self.request = .held
        self.session.holds(self)
        let isWhole = bytes.readableBytes == 0
        context.write(
            self.wrapOutboundOut(.headers(.init(headers: headers, endStream: isWhole))),
            promise: self.watched(isWhole ? promise : nil, context))
        guard !isWhole else { return }
        context.write(
            self.wrapOutboundOut(.data(.init(data: .byteBuffer(bytes), endStream: true))),
            promise: self.watched(promise, context))
    }

    private func refuse(
        _ reason: any Error, _ promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext
    ) {
        self.request = .dropped
        promise?.fail(reason)
        context.channel.close(promise: nil)
    }

    /// A frame that NIOHTTP2 refuses to write is told to whoever wrote it, and to nobody else: without it the request
    /// would never be complete, and its answer never come.
    private func watched(
        _ promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext
    ) -> EventLoopPromise<Void> {
        let promise = promise ?? context.eventLoop.makePromise()
        promise.futureResult.assumeIsolated().whenFailure { [weak self] error in
            guard let self, !(error is NIOHTTP2Errors.StreamClosed), !(error is ChannelError) else {
                // The stream, or the connection, ends, of which the stream hears by itself.
                return
            }
            if case .held = self.request { self.leaveHold(.dropped) }
            self.context?.channel.close(promise: nil)
        }
        return promise
    }

    private func leaveHold(_ next: Request) {
        self.request = next
        self.session.holdsNoMore(self)
    }

    /// NIOHTTP2 has put the HEADERS into the connection's bytes.
    func headersWereSent() { if case .held = self.request { self.leaveHold(.sent) } }

    /// Upstream takes no more streams on this connection: one that it has not heard of ends.
    func drop() { self.context?.channel.close(promise: nil) }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode == .all, case .held = self.request {
            // NIOHTTP2 forgets a stream that was not sent, but not what it keeps of it: the request would go out later,
            // for nobody, and nobody would reset it. This frame takes that back, and does not go out either.
            self.leaveHold(.dropped)
            context.writeAndFlush(self.wrapOutboundOut(.rstStream(.cancel)), promise: nil)
        }
        context.close(mode: mode, promise: promise)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if case .held = self.request { self.leaveHold(.dropped) }
        if case .dropped = self.request { context.fireUserInboundEventTriggered(NotProcessed()) }
        context.fireChannelInactive()
    }

    private static func headers(_ head: RequestHead, _ bytes: ByteBuffer) -> HPACKHeaders {
        bytes.withUnsafeReadableBytes { raw in
            func text(_ range: Range<Int>) -> String { String(decoding: raw[range], as: UTF8.self) }
            var headers = HPACKHeaders()
            headers.add(name: ":method", value: text(head.methodRange))
            headers.add(name: ":scheme", value: "https")
            headers.add(name: ":path", value: text(head.targetRange))
            var fields: [(name: String, value: String)] = []
            for field in head.fields {
                let name = text(field.name).lowercased()
                if name == "host" {
                    headers.add(name: ":authority", value: text(field.value))
                } else if name != "connection" {
                    fields.append((name, text(field.value)))
                }
            }
            for field in fields {
                // The operator's key must not be in a table that later requests are compressed with.
                let indexing: HPACKIndexing = field.name == "authorization" ? .neverIndexed : .indexable
                headers.add(name: field.name, value: field.value, indexing: indexing)
            }
            return headers
        }
    }

    // MARK: Upstream's frames

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.unwrapInboundIn(data) {
        case .headers(let frame): self.headers(frame, context)
        case .data(let frame):
            guard case .byteBuffer(let bytes) = frame.data else { return }
            self.body(bytes, endStream: frame.endStream, context)
        // A reset is heard of in `errorCaught`.
        case .alternativeService, .goAway, .origin, .ping, .priority, .pushPromise, .rstStream, .settings,
            .windowUpdate:
            break
        }
    }

    private func headers(_ frame: HTTP2Frame.FramePayload.Headers, _ context: ChannelHandlerContext) {
        switch self.response {
        case .head: self.head(frame, context)
        // Trailers are the end, and of no other use.
        case .body: self.body(ByteBuffer(), endStream: frame.endStream, context)
        case .ended: break
        }
    }

    private func head(_ frame: HTTP2Frame.FramePayload.Headers, _ context: ChannelHandlerContext) {
        var out = context.channel.allocator.buffer(capacity: 512)
        let status = frame.headers.first(name: ":status") ?? ""
        guard status.utf8.count == 3, status.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            context.close(promise: nil)
            return
        }
        out.writeString("HTTP/1.1 \(status) \r\n")
        var hasLength = false
        for (name, value, _) in frame.headers where !name.hasPrefix(":") {
            // What would not be one line of a head must not become two. The parser above refuses the rest.
            guard value.utf8.allSatisfy(Characters.isFieldValue), name.utf8.allSatisfy(Characters.isToken)
            else {
                context.close(promise: nil)
                return
            }
            if name == "content-length" { hasLength = true }
            out.writeString("\(name): \(value)\r\n")
        }
        let isInterim = status.hasPrefix("1")
        if isInterim {
            out.writeStaticString("\r\n")
            context.fireChannelRead(self.wrapInboundOut(out))
            return
        }
        let isChunked = !hasLength && !frame.endStream
        if isChunked { out.writeStaticString("transfer-encoding: chunked\r\n") }
        if frame.endStream && !hasLength { out.writeStaticString("content-length: 0\r\n") }
        // One stream, one exchange: the connection above is not used again.
        out.writeStaticString("connection: close\r\n\r\n")
        self.response = frame.endStream ? .ended : .body(chunked: isChunked)
        context.fireChannelRead(self.wrapInboundOut(out))
    }

    private func body(_ bytes: ByteBuffer, endStream: Bool, _ context: ChannelHandlerContext) {
        guard case .body(let chunked) = self.response else { return }
        if endStream { self.response = .ended }
        guard chunked else {
            if bytes.readableBytes > 0 { context.fireChannelRead(self.wrapInboundOut(bytes)) }
            return
        }
        var out = context.channel.allocator.buffer(capacity: bytes.readableBytes + 24)
        if bytes.readableBytes > 0 {
            ReplyWriter.beginChunk(bytes.readableBytes, chunked: true, into: &out)
            out.writeImmutableBuffer(bytes)
            ReplyWriter.endChunk(chunked: true, into: &out)
        }
        if endStream { ReplyWriter.endBody(chunked: true, into: &out) }
        if out.readableBytes > 0 { context.fireChannelRead(self.wrapInboundOut(out)) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if self.session.provesUnprocessed(error) { context.fireUserInboundEventTriggered(NotProcessed()) }
        context.fireErrorCaught(error)
    }
}

import NIOCore
import NIOHPACK
import NIOHTTP2

/// One stream of HTTP/2 as the bytes of an HTTP/1.1 connection with one request on it: frames of the client become
/// bytes for `ClientConnection`, the bytes of its reply become frames.
///
/// Back-pressure passes through: a connection that reads no more stops the stream's window from growing, and the
/// stream's writability is the connection's.
final class HTTP2ServerStream: ChannelDuplexHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = HTTP2Frame.FramePayload

    private enum Request {
        case head
        /// DATA of an announced length goes up as it is.
        case body(chunked: Bool)
        case ended
        /// Reset by us.
        case refused
    }

    private let session: HTTP2ServerSession
    private var request: Request = .head
    private var isHead = false
    private var isInFirstRead = false
    private var reply = HTTP2ReplyBytes()
    /// Fulfilled when the socket took the last frame that was written.
    private var lastWrite: EventLoopFuture<Void>?

    /// - Parameter session: the connection's handler, which is told of malformed messages.
    init(_ session: HTTP2ServerSession) { self.session = session }

    // MARK: The client's frames

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.unwrapInboundIn(data) {
        case .headers(let frame):
            if case .head = self.request { self.isInFirstRead = true }
            self.headers(frame, context)
            self.isInFirstRead = false
        case .data(let frame):
            guard case .byteBuffer(let bytes) = frame.data else { return }
            self.body(bytes, endStream: frame.endStream, context)
        case .rstStream, .alternativeService, .goAway, .origin, .ping, .priority, .pushPromise, .settings,
            .windowUpdate:
            // The stream's end comes as its channel's; the others are the connection's.
            break
        }
    }

    private func headers(_ frame: HTTP2Frame.FramePayload.Headers, _ context: ChannelHandlerContext) {
        switch self.request {
        case .head:
            guard
                let head = HTTP2RequestHead(
                    frame.headers, endStream: frame.endStream, allocator: context.channel.allocator)
            else {
                self.refuse(context)
                return
            }
            self.isHead = head.isHead
            self.request = frame.endStream ? .ended : .body(chunked: head.isChunked)
            context.fireChannelRead(self.wrapInboundOut(head.bytes))
        case .body:
            // Trailers: nothing of them is of use, and they must be the end.
            guard frame.endStream else {
                self.refuse(context)
                return
            }
            self.body(ByteBuffer(), endStream: true, context)
        case .ended, .refused:
            break
        }
    }

    private func body(_ bytes: ByteBuffer, endStream: Bool, _ context: ChannelHandlerContext) {
        guard case .body(let chunked) = self.request else { return }
        if endStream { self.request = .ended }
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

    /// Malformed: the stream is reset, the connection and its other streams go on.
    private func refuse(_ context: ChannelHandlerContext) {
        self.request = .refused
        context.writeAndFlush(self.wrapOutboundOut(.rstStream(.protocolError)), promise: nil)
        context.close(promise: nil)
        self.session.refusedMalformed()
    }

    // MARK: The reply's bytes

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let frames = self.reply.frames(
            for: self.unwrapOutboundIn(data), isHead: self.isHead, allocator: context.channel.allocator)
        guard let frames, frames.allSatisfy(self.canBeWritten) else {
            // Our own reply cannot be read, or is a head too long for this client: it must not take what came of it
            // for a complete answer.
            promise?.fail(ChannelError.operationUnsupported)
            context.channel.close(promise: nil)
            return
        }
        guard let last = frames.last else {
            self.afterLastWrite(promise)
            return
        }
        for frame in frames.dropLast() { context.write(self.wrapOutboundOut(frame), promise: nil) }
        let written = promise ?? context.eventLoop.makePromise(of: Void.self)
        self.lastWrite = written.futureResult
        context.write(self.wrapOutboundOut(last), promise: written)
    }

    private func canBeWritten(_ frame: HTTP2Frame.FramePayload) -> Bool {
        guard case .headers(let head) = frame else { return true }
        return HTTP2HeaderBlock.fits(head.headers, frameBytesMax: self.session.frameBytesMax)
    }

    /// Bytes that are no frame of their own are through when the frames before them are.
    private func afterLastWrite(_ promise: EventLoopPromise<Void>?) {
        guard let promise else { return }
        if let lastWrite = self.lastWrite { lastWrite.cascade(to: promise) } else { promise.succeed() }
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        if self.reply.endsWithConnection {
            // The end of the connection was the end of the body.
            let end = HTTP2Frame.FramePayload.Data(data: .byteBuffer(ByteBuffer()), endStream: true)
            self.reply.isComplete = true
            context.writeAndFlush(self.wrapOutboundOut(.data(end)), promise: nil)
        }
        if self.reply.isComplete, case .body = self.request {
            // Answered before the request was complete: the rest is not wanted, and nothing went wrong.
            context.writeAndFlush(self.wrapOutboundOut(.rstStream(.noError)), promise: nil)
        }
        if self.isInFirstRead {
            // NIOHTTP2 does not reset a stream that ends while its first frame is read, and its management counts it as
            // open for ever.
            context.writeAndFlush(self.wrapOutboundOut(.rstStream(.cancel)), promise: nil)
        }
        // Of an incomplete reply this close makes a RST_STREAM, never an end.
        context.close(mode: .all, promise: promise)
    }
}

import Metering
import NIOCore

/// One connection to the upstream: frames responses, knows how much of a request was written, belongs to one
/// borrower at a time. Used only on its loop.
final class UpstreamConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum ReadState {
        /// Nobody asked for anything: bytes are a violation.
        case idle
        case head
        case length(Int)
        case chunked(ChunkedDecoder)
        case untilClose
        /// The message is complete; the borrower has not released yet.
        case ended
    }

    private unowned let pool: UpstreamPool
    private var context: ChannelHandlerContext?
    /// Of the channel's socket; nil: it has none of its own (a stream of HTTP/2).
    private var descriptor: NIOBSDSocket.Handle?
    /// nil: what is sent always goes through the pipeline.
    private var direct: DirectOutput?
    /// Until it releases or drops this connection, or has heard that it is lost.
    private var borrower: (any UpstreamBorrower)?
    private var state: ReadState = .idle
    private var inbox = ByteBuffer()
    private var headSearch = ResponseHeadSearch()
    private var keepsAlive = true
    private var interimHeads = 0
    private static let interimHeadsMax = 16
    private var readsPaused = false
    /// Between two `channelReadComplete`s: more of what was read may follow.
    private var isReading = false
    private var isReleased = false
    /// TLS in front of the socket, which has read other bytes than have come here.
    private var tls: TLSHandler?
    /// Bytes that were read before TLS or this handler was there: the words of a proxy.
    private let bytesBefore: UInt64
    /// Bytes that have come here.
    private var bytesRead: UInt64 = 0
    private var isAborted = false
    /// Counts in the pool until the channel is inactive.
    private var isCounted: Bool
    /// In the pool's idle list; only the pool sets it.
    var isIdle = false
    /// When it went back to the pool.
    private(set) var idleSince: NIODeadline = .now()
    /// Requests sent so far.
    private(set) var uses = 0
    /// Bytes that upstream had acknowledged when this connection was handed out again.
    private var acknowledgedBefore: UInt64?
    /// Upstream closed its side with nothing of the request acknowledged; a reset will prove that it reads no more.
    private var closedUnaware = false
    /// What the socket took of the request, as far as is known.
    private(set) var requestWritten: ExchangeEvidence.RequestWritten = .nothing

    /// A stream of an HTTP/2 connection, for one exchange.
    let isStream: Bool
    /// Not used again after this.
    let retireAt: NIODeadline

    /// - Parameter bytesBefore: that were read of the socket to open it.
    init(pool: UpstreamPool, isStream: Bool = false, bytesBefore: UInt64 = 0) {
        self.pool = pool
        self.bytesBefore = bytesBefore
        self.isStream = isStream
        self.isCounted = !isStream
        self.retireAt = pool.retirement()
    }

    var address: SocketAddress? { self.context?.channel.remoteAddress }

    // MARK: For the borrower

    func assign(_ borrower: any UpstreamBorrower) {
        self.borrower = borrower
        self.requestWritten = .nothing
    }

    /// Whether upstream has it open still, as far as this kernel has heard. Asked before a connection is used again:
    /// upstreams close idle connections, and a request that meets such a close is lost.
    func isAlive() -> Bool {
        guard let channel = self.context?.channel else { return false }
        guard let state = self.kernelState else { return channel.isActive }
        self.acknowledgedBefore = state.bytesAcknowledged
        // Bytes that nobody asked for would be taken for the answer to the next request.
        guard state.isEstablished, self.tls?.holdsPart != true else { return false }
        // Fewer: a kernel that does not count. What is read while the connection is idle is a violation.
        return state.bytesReceived <= self.bytesTaken
    }

    /// Bytes that were read of the socket.
    private var bytesTaken: UInt64 { self.bytesBefore &+ (self.tls?.bytesReceived ?? self.bytesRead) }

    /// Sends a whole request. `requestWritten` is `.partly` from here until the socket took its last byte.
    func send(_ bytes: ByteBuffer) {
        guard let context = self.context else { return }
        self.uses += 1
        self.closedUnaware = false
        self.interimHeads = 0
        self.state = .head
        self.keepsAlive = true
        self.headSearch = ResponseHeadSearch()
        self.requestWritten = .partly
        var rest = bytes
        rest.moveReaderIndex(forwardBy: self.direct?.send(bytes, on: context.channel) ?? 0)
        if rest.readableBytes == 0 {
            self.requestWritten = .fully
        } else {
            self.write(rest, context)
        }
        self.pool.buffers.offer(bytes)
    }

    private func write(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        self.direct?.noteWrite()
        let written = context.eventLoop.makePromise(of: Void.self)
        let use = self.uses
        written.futureResult.assumeIsolated().whenSuccess {
            guard self.uses == use else { return }
            self.requestWritten = .fully
        }
        context.writeAndFlush(self.wrapOutboundOut(bytes), promise: written)
    }

    func pauseReads() { self.setReads(paused: true) }
    func resumeReads() { self.setReads(paused: false) }

    private func setReads(paused: Bool) {
        guard paused != self.readsPaused, let context = self.context else { return }
        self.readsPaused = paused
        // On the channel's own loop this is synchronous, and fails only on a closed channel.
        try? context.channel.syncOptions?.setOption(.autoRead, value: !paused)
        // A stream of HTTP/2 does not begin to read again by itself, as a socket does.
        if !paused { context.read() }
    }

    /// Gives the connection back; it is kept when its last message is complete, the whole request went out,
    /// and upstream keeps it alive. An answer to half a request leaves a request body on the way that nobody
    /// may read.
    func release() {
        self.borrower = nil
        self.resumeReads()
        var isReusable = false
        switch self.state {
        case .ended:
            isReusable = self.keepsAlive && self.inbox.readableBytes == 0 && self.requestWritten == .fully
        case .idle:
            // Nothing was asked of it.
            isReusable = self.keepsAlive
        case .head, .length, .chunked, .untilClose: isReusable = false
        }
        guard isReusable, self.context != nil, !self.isAborted else {
            self.abort()
            return
        }
        self.state = .idle
        self.isReleased = true
        if !self.isReading { self.goBack() }
    }

    /// Back to the pool: not before the last byte that came with the response was looked at, which may be one that
    /// nobody asked for.
    private func goBack() {
        guard self.isReleased, !self.isAborted else { return }
        self.isReleased = false
        self.idleSince = .now()
        guard self.context?.channel.isActive == true else { return self.abort() }
        self.pool.takeBack(self)
    }

    /// Closes at once: the response is not wanted any more. The pool does not hand it out from here on.
    func abort() {
        self.borrower = nil
        self.closedUnaware = false
        guard !self.isAborted else { return }
        self.isAborted = true
        self.pool.idleDied(self)
        self.context?.channel.close(promise: nil)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.descriptor = TCPState.descriptor(of: context.channel)
        guard !self.isStream else { return }
        self.tls = try? context.pipeline.syncOperations.handler(type: TLSHandler.self)
        if self.tls == nil { self.direct = self.descriptor.map(DirectOutput.init) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    /// nil: closed, or without a socket of its own.
    private var kernelState: TCPState? {
        guard let descriptor = self.descriptor, self.context?.channel.isActive == true else { return nil }
        return TCPState.of(descriptor)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.isAborted else { return }
        self.isReading = true
        var bytes = self.unwrapInboundIn(data)
        self.bytesRead &+= UInt64(bytes.readableBytes)
        if self.inbox.readableBytes == 0 { self.inbox = bytes } else { self.inbox.writeBuffer(&bytes) }
        while self.inbox.readableBytes > 0, !self.isAborted {
            guard self.advance() else { break }
        }
        guard self.inbox.readableBytes == 0 else { return }
        self.inbox = ByteBuffer()
        // A stream's bytes are slices of what HTTP/2 still writes into.
        if !self.isStream { self.pool.buffers.offer(bytes) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        self.isReading = false
        self.goBack()
        self.borrower?.upstreamReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        let wasUntilClose = if case .untilClose = self.state { true } else { false }
        self.keepsAlive = false
        self.isAborted = true
        self.leavePool()
        guard let borrower = self.borrower else { return }
        if wasUntilClose {
            self.state = .ended
            borrower.upstreamEnd()
        } else if case .ended = self.state {
            return
        } else {
            self.borrower = nil
            if self.closedUnaware { self.requestWritten = .nothing }
            let failure: UpstreamFailure = self.closedUnaware ? .notAccepted : .closed
            self.pool.counters.count(failure)
            borrower.upstreamClosed(failure)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { self.inputClosed(context) }
        if event is HTTP2ClientStream.NotProcessed, case .head = self.state { self.closedUnaware = true }
        context.fireUserInboundEventTriggered(event)
    }

    /// Upstream's FIN. Everything ends with it, but for one question: had upstream closed before the request reached
    /// it? Then the FIN acknowledges nothing of it, and what we sent is answered by a reset. Both together prove that
    /// nobody has read it. A peer that closed only its sending side sends no reset; it gets a moment, and no proof.
    private func inputClosed(_ context: ChannelHandlerContext) {
        guard case .head = self.state, self.inbox.readableBytes == 0,
            let before = self.acknowledgedBefore, let now = self.kernelState,
            now.bytesAcknowledged == before
        else {
            context.channel.close(promise: nil)
            return
        }
        self.closedUnaware = true
        let use = self.uses
        let selfOnLoop = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: Self.resetWait) {
            let connection = selfOnLoop.value
            guard connection.uses == use, connection.closedUnaware else { return }
            connection.closedUnaware = false
            connection.context?.channel.close(promise: nil)
        }
    }

    /// Longer than a round trip to any upstream.
    private static let resetWait: TimeAmount = .seconds(1)

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A truncated TLS stream must not pass for the end of a close-delimited body.
        if case .untilClose = self.state { self.state = .length(.max) }
        // To a connection that was used before, a FIN without TLS's farewell means no more than any FIN.
        if case .some(.truncated) = error as? TLSFault {
            self.inputClosed(context)
        } else {
            context.channel.close(promise: nil)
        }
    }

    private func leavePool() {
        guard self.isCounted else { return }
        self.isCounted = false
        self.pool.forget(self)
    }

    // MARK: Framing

    /// One step; returns whether there may be more in the inbox.
    private func advance() -> Bool {
        switch self.state {
        case .idle, .ended:
            self.violation()
            return false
        case .head:
            return self.parseHead()
        case .length(let left):
            guard let payload = self.inbox.readSlice(length: min(left, self.inbox.readableBytes)) else {
                return false
            }
            let rest = left - payload.readableBytes
            self.state = .length(rest)
            self.borrower?.upstreamBody(payload)
            if rest == 0 { self.end() }
            return true
        case .chunked(let decoder):
            return self.decode(decoder)
        case .untilClose:
            let payload = self.inbox
            self.inbox = ByteBuffer()
            self.borrower?.upstreamBody(payload)
            return false
        }
    }

    private func parseHead() -> Bool {
        switch self.inbox.withUnsafeReadableBytes({ self.headSearch.parse($0) }) {
        case .incomplete:
            return false
        case .invalid:
            self.violation()
            return false
        case .complete(let head):
            self.headSearch = ResponseHeadSearch()
            guard let bytes = self.inbox.readSlice(length: head.byteCount) else { return false }
            if head.isInterim {
                self.interimHeads += 1
                // 101 would hand the connection to another protocol, which nobody asked for.
                if head.status == 101 || self.interimHeads > Self.interimHeadsMax { self.violation() }
                return !self.isAborted
            }
            self.begin(head, bytes)
            return true
        }
    }

    private func begin(_ head: ResponseHead, _ bytes: ByteBuffer) {
        self.keepsAlive = head.keepAlive
        let framing = head.framing(forHead: false)
        switch framing {
        case .none: self.state = .length(0)
        case .length(let length): self.state = .length(length)
        case .chunked: self.state = .chunked(ChunkedDecoder())
        case .untilClose:
            self.keepsAlive = false
            self.state = .untilClose
        }
        self.borrower?.upstreamHead(head, bytes: bytes)
        if framing == .none { self.end() }
    }

    private func decode(_ decoder: ChunkedDecoder) -> Bool {
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
            self.borrower?.upstreamBody(payload)
            // The borrower may have dropped the connection, or released it, in that call.
            if case .chunked = self.state { return true }
            return false
        case .needMore(let consumed):
            self.inbox.moveReaderIndex(forwardBy: consumed)
            return false
        case .end(let consumed):
            self.inbox.moveReaderIndex(forwardBy: consumed)
            self.end()
            return true
        case .invalid:
            self.violation()
            return false
        }
    }

    private func end() {
        guard !self.isAborted else { return }
        self.state = .ended
        if self.inbox.readableBytes > 0 { self.keepsAlive = false }
        self.borrower?.upstreamEnd()
    }

    private func violation() {
        let borrower = self.borrower
        self.borrower = nil
        self.inbox.clear()
        self.abort()
        self.pool.counters.count(.protocolViolation)
        borrower?.upstreamClosed(.protocolViolation)
    }
}

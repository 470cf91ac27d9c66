import NIOCore

/// One client connection for its whole life: finds request after request in the bytes, decides the plane of
/// each, lets one exchange answer at a time, and keeps pipelined bytes until then.
final class ClientConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What the connection is doing. Can go round: waiting → collecting → busy → waiting; any → closed.
    private enum Phase {
        /// A request head is not complete; this many bytes hold no end of a head.
        case waiting
        /// The head is complete, the body is not.
        case collecting(PendingRequest)
        /// A request is being answered.
        case busy
        case closed
    }

    let loop: LoopContext
    private var phase: Phase = .waiting
    private var inbox = ByteBuffer()
    private var headSearch = RequestHeadSearch()
    private(set) var context: ChannelHandlerContext?
    private var exchange: Exchange?
    private var controlTask: Task<Void, Never>?
    private var closesAfterReply = false
    private var readsPaused = false
    private var isAdvancing = false
    /// `Authorization` of the last request with its digests: a keep-alive client sends the same again and
    /// again.
    var lastAuthorization = AuthorizationMemo()
    /// Bytes on their way out; written once per flush.
    private var outbox = ByteBuffer()

    init(loop: LoopContext) { self.loop = loop }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.loop.register(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        if self.inbox.readableBytes == 0 { self.inbox = bytes } else { self.inbox.writeBuffer(&bytes) }
        self.advance()
        self.updateReads()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.phase = .closed
        self.loop.unregister(self)
        self.controlTask?.cancel()
        let exchange = self.exchange
        self.exchange = nil
        exchange?.clientGone()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset, or a broken TLS record: the client is not there any more.
        context.close(promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.exchange?.downstreamWritabilityChanged(context.channel.isWritable)
        context.fireChannelWritabilityChanged()
    }

    // MARK: Finding requests

    private func advance() {
        // A reply can end while it is begun: the loop that runs already goes on with the next request, so a
        // client that pipelines costs no stack.
        guard !self.isAdvancing else { return }
        self.isAdvancing = true
        defer { self.isAdvancing = false }
        while self.inbox.readableBytes > 0 {
            switch self.phase {
            case .waiting:
                guard self.parseHead() else { return }
            case .collecting(let request):
                guard self.collect(request) else { return }
            case .busy:
                return
            case .closed:
                self.inbox.clear()
                return
            }
        }
    }

    /// Returns whether there may be more to do.
    private func parseHead() -> Bool {
        let parsed = self.inbox.withUnsafeReadableBytes { bytes in self.headSearch.parse(bytes) }
        switch parsed {
        case .incomplete:
            return false
        case .invalid(let fault):
            self.refuseUnparsed(fault)
            return false
        case .complete(let head):
            self.headSearch = RequestHeadSearch()
            let plane = self.inbox.withUnsafeReadableBytes { bytes in
                Plane.classify(target: UnsafeRawBufferPointer(rebasing: bytes[head.targetRange]))
            }
            guard let headBytes = self.inbox.readSlice(length: head.byteCount) else { return false }
            self.begin(
                PendingRequest(
                    head: head, headBytes: headBytes, plane: plane, bodyBytesMax: self.bodyLimit(plane)))
            return true
        }
    }

    private func bodyLimit(_ plane: Plane) -> Int {
        switch plane {
        case .data: self.loop.configuration.limits.jsonBodyBytesMax
        case .control, .invalid: self.loop.configuration.limits.controlBodyBytesMax
        }
    }

    private func begin(_ request: PendingRequest) {
        if case .invalid = request.plane {
            self.refuseUnparsed(.badTarget)
            return
        }
        if request.exceedsLimit {
            self.closesAfterReply = true
            self.refuse(.bodyTooLarge(limit: request.bodyBytesMax), request)
            return
        }
        if !request.head.keepAlive { self.closesAfterReply = true }
        if request.isComplete {
            self.dispatch(request)
            return
        }
        self.phase = .collecting(request)
        if request.head.expectContinue && self.inbox.readableBytes == 0 {
            self.outbox.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
            self.flush()
        }
    }

    private func collect(_ request: PendingRequest) -> Bool {
        switch request.take(from: &self.inbox) {
        case .needMore:
            return false
        case .complete:
            self.dispatch(request)
            return true
        case .tooLarge:
            self.closesAfterReply = true
            self.refuse(.bodyTooLarge(limit: request.bodyBytesMax), request)
            return false
        case .invalid(let fault):
            self.refuseUnparsed(fault)
            return false
        }
    }

    private func dispatch(_ request: PendingRequest) {
        self.phase = .busy
        switch request.plane {
        case .data(let route):
            if self.loop.isDraining {
                self.closesAfterReply = true
                self.refuse(.draining, request)
                return
            }
            let exchange = Exchange(request, route: route, loop: self.loop, connection: self)
            self.exchange = exchange
            exchange.start()
        case .control:
            self.answerControl(request)
        case .invalid:
            preconditionFailure("begin() answers invalid targets")
        }
    }

    /// Pauses reading while a client pipelines far ahead; a client that only waits stays watched for its end.
    private func updateReads() {
        guard let context = self.context else { return }
        var pause = false
        if case .busy = self.phase {
            pause = self.inbox.readableBytes > self.loop.configuration.limits.pipelinedBytesMax
        }
        guard pause != self.readsPaused else { return }
        self.readsPaused = pause
        // Setting an option on the channel's own loop is synchronous and fails only on a closed channel.
        try? context.channel.syncOptions?.setOption(.autoRead, value: !pause)
    }

    // MARK: Replying

    /// Room for the bytes of a reply; `flush` sends them.
    func write(_ fill: (inout ByteBuffer) -> Void) { fill(&self.outbox) }

    /// Hands a large buffer over without copying it.
    func write(buffer: ByteBuffer) {
        guard let context = self.context else { return }
        self.writeOutbox(context)
        context.write(self.wrapOutboundOut(buffer), promise: nil)
    }

    func flush() {
        guard let context = self.context else {
            self.outbox.clear()
            return
        }
        self.writeOutbox(context)
        context.flush()
    }

    private func writeOutbox(_ context: ChannelHandlerContext) {
        guard self.outbox.readableBytes > 0 else { return }
        context.write(self.wrapOutboundOut(self.outbox), promise: nil)
        // The channel is done with the bytes after a synchronous flush; otherwise this makes a new
        // allocation.
        self.outbox.clear()
    }

    var isWritable: Bool { self.context?.channel.isWritable ?? false }

    /// Whether the reply must say `connection: close`.
    var closesAfter: Bool { self.closesAfterReply || self.loop.isDraining }

    /// The reply cannot be framed any further: the client must see a broken message.
    func abort() { self.context?.close(mode: .all, promise: nil) }

    /// The reply is complete: go on with the next request.
    func replyEnded(close: Bool = false) {
        guard let context = self.context else { return }
        self.exchange = nil
        self.controlTask = nil
        self.flush()
        if close || self.closesAfter {
            self.phase = .closed
            context.close(promise: nil)
            return
        }
        self.phase = .waiting
        self.advance()
        self.updateReads()
    }

    /// The server is shutting down.
    func quiesce() {
        switch self.phase {
        case .waiting where self.inbox.readableBytes == 0:
            self.context?.close(promise: nil)
        case .waiting, .collecting, .busy, .closed:
            self.closesAfterReply = true
        }
    }

    private func refuse(_ refusal: Refusal, _ request: PendingRequest) {
        self.phase = .busy
        let date = self.loop.now()
        self.write { out in
            ReplyWriter.refusal(
                refusal, shape: request.plane.errorShape, hold: nil, close: self.closesAfter,
                headOnly: request.head.method == .head, date: date, into: &out)
        }
        self.loop.metrics.countRequest(request.plane.metricLabel, status: refusal.code.status)
        self.replyEnded()
    }

    /// The bytes are not HTTP as we accept it: nothing behind them can be trusted.
    private func refuseUnparsed(_ fault: HeadFault) {
        self.closesAfterReply = true
        let date = self.loop.now()
        self.write { out in
            ReplyWriter.refusal(
                Refusal(.invalidRequest, "The HTTP request is malformed (\(fault.rawValue))."),
                shape: .openAI,
                hold: nil, close: true, headOnly: false, date: date, into: &out)
        }
        self.loop.metrics.countRequest(.invalid, status: 400)
        self.replyEnded(close: true)
    }

    // MARK: Control plane

    private func answerControl(_ request: PendingRequest) {
        guard let context = self.context else { return }
        let writer = ControlReplyWriter(
            channel: context.channel, headOnly: request.head.method == .head, close: self.closesAfter,
            chunkedAllowed: request.head.minorVersion == 1)
        let call = request.controlRequest(channel: context.channel)
        let control = self.loop.dependencies.control
        let selfOnLoop = NIOLoopBound(self, eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        // SAFETY: structured by its connection: kept in `controlTask`, cancelled when the channel goes
        // inactive.
        self.controlTask = Task {
            var broken = false
            do {
                try await control.respond(to: call, writer: writer)
                try await writer.end()
            } catch {
                broken = true
            }
            let mustClose = broken
            eventLoop.execute { selfOnLoop.value.controlAnswered(broken: mustClose) }
        }
    }

    private func controlAnswered(broken: Bool) {
        guard case .busy = self.phase else { return }
        self.replyEnded(close: broken)
    }
}

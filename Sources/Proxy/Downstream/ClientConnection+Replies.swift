import NIOCore

/// Writing replies, and what comes after them.
extension ClientConnection {
    /// Room for the bytes of a reply; `flush` sends them.
    func write(_ fill: (inout ByteBuffer) -> Void) {
        self.makeRoom()
        fill(&self.outbox)
    }

    private func makeRoom() {
        if self.outbox.capacity == 0 { self.outbox = self.loop.buffers.take(Self.outboxBytes) }
    }

    /// Hands a large buffer over without copying it; a small one goes out with what is in front of it.
    func write(buffer: ByteBuffer) {
        guard let context = self.context else { return }
        guard self.outbox.readableBytes + buffer.readableBytes > Self.outboxBytes else {
            self.makeRoom()
            self.outbox.writeImmutableBuffer(buffer)
            return
        }
        self.writeOutbox(context)
        self.bytesSent += buffer.readableBytes
        self.direct?.noteWrite()
        context.write(self.wrapOutboundOut(buffer), promise: nil)
    }

    func flush() {
        guard let context = self.context else {
            self.outbox.clear()
            return
        }
        guard !self.sendOutbox(context) else { return }
        self.writeOutbox(context)
        context.flush()
    }

    /// The short way, for as much of it as the socket takes.
    ///
    /// - Returns: nothing is left, here or with NIO.
    private func sendOutbox(_ context: ChannelHandlerContext) -> Bool {
        // A reply of the control plane goes through NIO, by a writer of its own.
        guard self.controlWriter == nil else { return false }
        guard self.outbox.readableBytes > 0 else { return self.direct?.isClear ?? false }
        guard let taken = self.direct?.send(self.outbox, on: context.channel), taken > 0 else { return false }
        self.bytesSent += taken
        self.outbox.moveReaderIndex(forwardBy: taken)
        guard self.outbox.readableBytes == 0 else { return false }
        self.giveBackOutbox()
        return true
    }

    private func writeOutbox(_ context: ChannelHandlerContext) {
        guard self.outbox.readableBytes > 0 else { return }
        self.bytesSent += self.outbox.readableBytes
        self.direct?.noteWrite()
        context.write(self.wrapOutboundOut(self.outbox), promise: nil)
        self.giveBackOutbox()
    }

    /// Between two chunks a connection keeps no memory for them.
    private func giveBackOutbox() {
        self.loop.buffers.offer(self.outbox)
        self.outbox = ByteBuffer()
    }

    private static let outboxBytes = 4 << 10

    var isWritable: Bool { self.context?.channel.isWritable ?? false }

    /// Whether the reply must say `connection: close`.
    var closesAfter: Bool {
        // Requests that came before a FIN are still answered; then nothing comes any more.
        let isLast = self.inputEnded && self.inbox.readableBytes == 0
        return self.closesAfterReply || isLast || self.loop.isLeaving
    }

    /// What the reply to this request says of the connection.
    func persistence(of head: RequestHead) -> ReplyWriter.Persistence {
        self.saidClose = self.closesAfter
        return self.saidClose ? .close : head.announcesKeepAlive ? .announced : .implied
    }

    /// The reply is complete: go on with the next request.
    func replyEnded(close: Bool = false) {
        guard self.context != nil else { return }
        switch self.phase {
        case .closed:
            return
        case .admitting, .collecting:
            // Bytes of a body that nobody took would be read as the next request.
            self.abandonBody()
            self.closesAfterReply = true
        case .waiting, .busy, .closing, .lingering:
            break
        }
        self.exchange = nil
        self.controlTask = nil
        self.forgetBody()
        // While the server leaves, a client that was not told may have sent its next request already.
        if close || self.closesAfterReply || self.saidClose {
            self.closeAfterOutput()
            return
        }
        self.flush()
        if case .closed = self.phase { return }
        self.awaitNext()
        self.goOn()
    }

    /// Closes once the socket took the last byte; a close at once would throw away what waits.
    func closeAfterOutput() {
        guard let context = self.context else { return }
        // Unread bytes in the kernel would make the close a reset, which can overtake the reply.
        let lingers = self.lingersAfterReply || self.inbox.readableBytes > 0
        self.inbox = ByteBuffer()
        self.phase = .closing(lingers: lingers)
        self.deadline = .now() + self.loop.configuration.timeouts.clientWrite
        self.updateReads()
        self.writeOutbox(context)
        let flushed = context.eventLoop.makePromise(of: Void.self)
        flushed.futureResult.assumeIsolated().whenComplete { [weak self] result in
            switch result {
            case .success: self?.outputFlushed()
            case .failure: self?.abort()
            }
        }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer()), promise: flushed)
    }

    private func outputFlushed() {
        guard let context = self.context, case .closing(let lingers) = self.phase else { return }
        // A stream of HTTP/2 has no half of its own to close, and loses nothing by a close.
        guard lingers, !self.inputEnded, self.transport != .http2 else {
            self.phase = .closed
            context.close(promise: nil)
            return
        }
        self.phase = .lingering(bytesLeft: self.loop.configuration.limits.lingeringBytesMax)
        self.deadline = .now() + self.lingeringTime
        context.close(mode: .output, promise: nil)
    }

    /// Shorter while the server leaves, which waits for it.
    var lingeringTime: TimeAmount {
        let timeouts = self.loop.configuration.timeouts
        return self.loop.isLeaving ? min(timeouts.lingering, timeouts.lastRequests) : timeouts.lingering
    }

    func discard(_ count: Int, of left: Int) {
        guard count < left else {
            self.abort()
            return
        }
        self.phase = .lingering(bytesLeft: left - count)
    }

    // MARK: Refusing

    /// Answers a request that has no exchange.
    func refuse(_ refusal: Refusal, _ request: PendingRequest) {
        self.abandonBody()
        self.phase = .busy
        let before = self.bytesSent
        let date = self.loop.now()
        self.write { out in
            ReplyWriter.refusal(
                refusal, shape: request.plane.errorShape, hold: nil,
                persistence: self.persistence(of: request.head),
                headOnly: request.head.method == .head, date: date, into: &out)
        }
        self.loop.metrics.countRequest(request.plane.metricLabel, status: refusal.code.status)
        self.log(
            request, status: refusal.code.status, .refused,
            bytes: self.bytesSent + self.outbox.readableBytes - before, began: .now())
        self.replyEnded()
    }

    /// Answers a request whose body is not read to its end.
    func refuseCollected(_ refusal: Refusal, _ request: PendingRequest) {
        if let exchange = self.exchange { exchange.refuse(refusal) } else { self.refuse(refusal, request) }
    }

    /// The bytes are not HTTP as we accept it: nothing behind them can be trusted.
    func refuseUnparsed(_ fault: HeadFault) {
        self.refuseUnparsed(fault.refusalCode, Self.malformed(fault))
    }

    /// The head is HTTP, but its target is not one that we serve, on either plane.
    func refuseTarget(_ request: PendingRequest) {
        self.closesAfterReply = true
        self.lingersAfterReply = true
        self.refuse(Refusal(.invalidRequest, Self.malformed(.badTarget)), request)
    }

    private static func malformed(_ fault: HeadFault) -> String {
        "The HTTP request is malformed (\(fault.rawValue))."
    }

    func refuseUnparsed(_ code: Refusal.Code, _ message: String) {
        self.closesAfterReply = true
        self.lingersAfterReply = true
        self.phase = .busy
        let date = self.loop.now()
        self.write { out in
            ReplyWriter.refusal(
                Refusal(code, message), shape: .openAI, hold: nil, persistence: .close, headOnly: false,
                date: date,
                into: &out)
        }
        self.loop.metrics.countRequest(.invalid, status: code.status)
        self.loop.log(
            AccessRecord(
                finishedAt: LoopContext.wallMilliseconds(), client: self.peer, transport: self.transport,
                minorVersion: 1, method: "", path: "", endpoint: .invalid, status: code.status, end: .refused,
                requestBytes: self.inbox.readableBytes, responseBytes: self.outbox.readableBytes,
                duration: .zero))
        self.replyEnded(close: true)
    }

    /// The address has too many connections: said once, before anything is read.
    func refuseConnection() {
        self.refuseUnparsed(.overloaded, "Too many connections from this address; try again.")
    }
}

extension HeadFault {
    /// How a fault is answered; the connection closes in any case.
    var refusalCode: Refusal.Code {
        switch self {
        case .headTooLarge, .tooManyFields: .headTooLarge
        case .unknownExpectation: .expectationFailed
        default: .invalidRequest
        }
    }
}

import NIOCore

/// From bytes to requests.
extension ClientConnection {
    /// Returns whether there may be more to do.
    func parseHead() -> Bool {
        let parsed = self.inbox.withUnsafeReadableBytes { bytes in self.headSearch.parse(bytes) }
        switch parsed {
        case .incomplete:
            return false
        case .invalid(let fault):
            self.refuseUnparsed(fault)
            return false
        case .complete(let head):
            self.headSearch = RequestHeadSearch(limits: self.loop.headLimits)
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
        case .data(.metered(let endpoint)) where endpoint.takesForm:
            self.loop.configuration.limits.formBodyBytesMax
        case .data: self.loop.configuration.limits.jsonBodyBytesMax
        case .rateCard: self.loop.configuration.limits.rateCardBodyBytesMax
        case .control, .invalid: self.loop.configuration.limits.controlBodyBytesMax
        }
    }

    /// The head is there. Who may not send a body at all is told so before it is read.
    private func begin(_ request: PendingRequest) {
        self.deadline = .distantFuture
        if !request.head.keepAlive { self.closesAfterReply = true }
        switch request.plane {
        case .invalid:
            self.refuseTarget(request)
        case .control, .rateCard:
            self.phase = .admitting(request)
            self.collectBody()
        case .data where self.inputEnded:
            // Sent before a FIN, read after it: the client may be gone, and this would be billed. What was answered
            // before is still delivered.
            self.closeAfterOutput()
        case .data(let route):
            self.phase = .admitting(request)
            if let refusal = self.refusal(of: request) {
                if refusal.code == .draining { self.closesAfterReply = true }
                self.refuse(refusal, request)
                return
            }
            let exchange = Exchange(request, route: route, loop: self.loop, connection: self)
            self.exchange = exchange
            exchange.start()
        }
    }

    /// What can be said without knowing who asks.
    private func refusal(of request: PendingRequest) -> Refusal? {
        if request.exceedsLimit { return .bodyTooLarge(limit: request.bodyBytesMax) }
        return self.loop.refusesExchanges
    }

    /// The request is wanted: its body is read, and `bodyCollected` follows.
    func collectBody() {
        guard case .admitting(let request) = self.phase else { return }
        if request.exceedsLimit {
            self.refuseCollected(.bodyTooLarge(limit: request.bodyBytesMax), request)
            return
        }
        if request.isComplete {
            self.bodyCollected(request)
            return
        }
        self.phase = .collecting(request)
        let timeouts = self.loop.configuration.timeouts
        self.bodyEndsBy = .now() + timeouts.clientBodyTotal
        self.deadline = min(.now() + timeouts.clientBody, self.bodyEndsBy)
        if request.head.expectContinue && self.inbox.readableBytes == 0 {
            self.outbox.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
            self.flush()
        }
        self.advance()
        self.updateReads()
    }

    /// Returns whether there may be more to do.
    func collect(_ request: PendingRequest) -> Bool {
        switch request.take(from: &self.inbox) {
        case .needMore:
            if !self.countBody(request) {
                self.refuseCollected(.overloaded, request)
            }
            return false
        case .complete:
            self.bodyCollected(request)
            return true
        case .tooLarge:
            self.refuseCollected(.bodyTooLarge(limit: request.bodyBytesMax), request)
            return false
        case .invalid(let fault):
            let exchange = self.exchange
            self.exchange = nil
            exchange?.withdrawn()
            self.refuseUnparsed(fault)
            return false
        }
    }

    private func bodyCollected(_ request: PendingRequest) {
        self.phase = .busy
        // The reply before may not have been taken; no event will tell that again.
        self.deadline =
            self.isWritable ? .distantFuture : .now() + self.loop.configuration.timeouts.clientWrite
        self.releaseInbox()
        if let exchange = self.exchange {
            exchange.admit()
        } else {
            self.answerControl(request)
        }
    }

    /// What is left of the inbox shares its memory with the body, and would keep all of it.
    private func releaseInbox() {
        if self.inbox.readableBytes == 0 {
            self.inbox = ByteBuffer()
        } else if self.budgeted > 0 {
            self.inbox = ByteBuffer(bytes: self.inbox.readableBytesView)
        }
    }

    /// Bodies that are being collected share one budget. Small ones are not worth counting.
    private func countBody(_ request: PendingRequest) -> Bool {
        let held = self.inbox.readableBytes + request.body.readableBytes
        guard held > Self.uncountedBytesMax else { return true }
        let more = held - self.budgeted
        self.budgeted = held
        return self.loop.budget.add(more)
    }

    private static let uncountedBytesMax = 64 << 10

    /// The body went on, or is not wanted any more.
    func forgetBody() {
        guard self.budgeted > 0 else { return }
        self.loop.budget.subtract(self.budgeted)
        self.budgeted = 0
    }

    /// Before a reply that does not wait for the rest of the request: what is here of the body is taken, and if
    /// that is not all the connection cannot be used again.
    func abandonBody() {
        switch self.phase {
        case .admitting(let request), .collecting(let request):
            self.phase = .busy
            self.forgetBody()
            if request.isComplete { return }
            if case .complete = request.take(from: &self.inbox) { return }
            self.closesAfterReply = true
            self.lingersAfterReply = true
        case .waiting, .busy, .closing, .lingering, .closed:
            break
        }
    }
}

import Metering
import NIOCore

/// Steps 6–8 of DESIGN §3: send, relay, end.
extension Exchange: UpstreamBorrower {
    // MARK: Send

    func upstreamReady(_ connection: UpstreamConnection, reused: Bool) {
        self.waitsForUpstream = false
        if let retrieval = self.retrieval {
            self.send(retrieval, on: connection, reused: reused)
            return
        }
        guard let plan = self.plan, case .held = self.machine.state else {
            connection.release()
            return
        }
        guard self.openJournal() else {
            connection.release()
            self.settle(.upstreamCut)
            self.refuse(
                Refusal(.holdsUnavailable, "The journal has no room; try again.", retryAfterSeconds: 2))
            return
        }
        self.upstream = connection
        self.upstreamReused = reused
        let edits = plan.request.edits(
            injectUsage: plan.injectsUsage, outputCap: self.sentCap, pinTier: plan.pinsTier)
        let bytes = UpstreamRequest.bytes(
            self.request, to: plan.endpoint, edits: edits, origin: self.loop.configuration.upstream,
            authorization: self.loop.upstreamAuthorization, trace: self.traceLines(),
            buffers: self.loop.buffers)
        let now = NIODeadline.now()
        self.enterUpstream(at: now)
        self.deadline = now + self.loop.configuration.timeouts.upstreamHead
        connection.send(bytes)
    }

    /// Asks for a connection, for so long as making one may take.
    func awaitUpstream(fresh: Bool) {
        self.waitsForUpstream = true
        self.deadline = .now() + self.loop.configuration.timeouts.upstreamConnect
        self.loop.pool.lease(self, fresh: fresh)
    }

    /// Upstream took nothing of the request, which is proved: it may be sent once more, on a connection that
    /// nobody used before. The hold stands; nothing is billed twice because nothing was sent twice.
    private func tryAgain() {
        self.retried = true
        self.isUpstreamPaused = false
        self.leaveUpstream()
        self.sentUpstreamAt = nil
        self.deadline = .distantFuture
        self.upstream = nil
        self.evidence = ExchangeEvidence()
        // Again nothing was sent: whoever finds us dead now charges nothing.
        if self.plan != nil { self.tellProgress(output: 0, charge: .zero) }
        self.loop.metrics.retries.wrappingAdd(1, ordering: .relaxed)
        self.awaitUpstream(fresh: true)
    }

    func upstreamFailed(_ failure: UpstreamFailure) {
        self.waitsForUpstream = false
        self.settle(.upstreamCut)
        self.endReply(.failed(.upstreamError))
    }

    // MARK: Relay

    func upstreamHead(_ head: ResponseHead, bytes: ByteBuffer) {
        let plan = self.plan
        self.touch()
        if self.times != nil { self.times?.upstreamHead = .now() }
        // From here on the request is never sent again.
        self.request.slim()
        self.connection?.forgetBody()
        self.relay = Relay(
            head: head, headBytes: bytes, wantsStream: plan?.stream ?? false,
            shape: plan?.endpoint.replyShape ?? .responses, stripUsage: plan?.injectsUsage ?? false,
            echo: plan?.echo ?? .none,
            tokenizer: plan.flatMap { self.loop.inputCounter.tokenizer(model: $0.price.model) })
        guard let relay = self.relay else { return }
        self.copyFields(of: relay)
        // Only what passes as a stream can be stopped where its hold ends.
        if case .gathering = relay.mode, plan?.rolling != nil { relay.mode = .unreadable }
        switch relay.mode {
        case .stream:
            self.startReply(length: nil)
            relay.slim()
        case .gathering:
            if plan?.replyIsOpaque == true {
                // Sound is for those who do not want to wait for its end, and its charge is known.
                self.startPassing(length: head.contentLength)
            } else if let length = head.contentLength,
                length > self.loop.configuration.limits.gatheredReplyBytesMax
            {
                self.startPassing(length: length)
            }
        case .unreadable:
            self.settle(.upstreamCut)
            self.loseUpstream(.upstreamError)
        case .error, .passing:
            break
        }
    }

    func upstreamBody(_ bytes: ByteBuffer) {
        self.touch()
        switch self.relay?.mode {
        case .stream:
            self.streamed(bytes)
        case .gathering:
            self.relay?.feedWhole(bytes)
            self.gather(bytes)
        case .passing:
            // What is spoken or transcribed in an opaque reply is content, even if it looks like a document.
            if self.plan?.replyIsOpaque != true { self.relay?.feedWhole(bytes) }
            self.passOn(bytes)
        case .error:
            self.relay?.body.writeImmutableBuffer(bytes)
            if let size = self.relay?.body.readableBytes,
                size > self.loop.configuration.limits.errorReplyBytesMax
            {
                self.upstreamClosed(.protocolViolation)
            }
        case .unreadable, nil:
            break
        }
    }

    /// The next bytes of a stream. Returns how many of them were looked at: the others wait for credits.
    @discardableResult
    func relayStream(_ bytes: ByteBuffer) -> Int {
        let most = self.rolling.flatMap { $0.coversAll ? nil : $0.allowance }
        guard let relay = self.relay, let released = relay.feedStream(bytes, tokensMax: most) else {
            return bytes.readableBytes
        }
        self.tellOwner()
        // A client takes `[DONE]` for the end: the outcome is recorded before it goes on (DESIGN §3.8).
        if relay.sawDone, !self.machine.isSettled { self.settle(.upstreamEnded, complete: true) }
        self.forward(released, of: bytes)
        return released.consumed
    }

    func upstreamReadComplete() {
        guard let connection = self.connection else { return }
        connection.flush()
        // The client may have been found gone in that call, and its response be read on for the charge.
        guard self.connection === connection else { return }
        if !connection.isWritable || self.holdsMuch || self.waiting.isWaiting { self.pauseUpstream() }
    }

    func downstreamWritabilityChanged(_ writable: Bool) {
        guard writable, !self.holdsMuch, !self.waiting.isWaiting else {
            self.pauseUpstream()
            return
        }
        guard let upstream = self.upstream, self.isUpstreamPaused else { return }
        self.isUpstreamPaused = false
        self.touch()
        upstream.resumeReads()
    }

    /// What comes behind `[DONE]` waits with it, and must not grow without bound.
    private var holdsMuch: Bool { self.heldTail.readableBytes > Self.heldTailBytesMax }
    private static let heldTailBytesMax = 64 << 10

    /// The client is slower than upstream. While it is, upstream's silence is our doing, and it is the client
    /// that runs out of time (`CLIENT_WRITE_TIMEOUT_SECONDS`).
    func pauseUpstream() {
        guard let upstream = self.upstream, !self.isUpstreamPaused else { return }
        self.isUpstreamPaused = true
        // For nobody it is read on within the time of a drain.
        if self.relay != nil, self.connection != nil { self.deadline = .distantFuture }
        upstream.pauseReads()
    }

    private func touch() {
        // A drain has a deadline of its own, which reads do not move; and what is read of a burst after the client
        // held it back says nothing of upstream.
        guard self.connection != nil, !self.isUpstreamPaused else { return }
        self.deadline = .now() + self.loop.configuration.timeouts.upstreamIdle
    }

    private func forward(_ released: SSEUsageTap.Released, of bytes: ByteBuffer) {
        guard released.byteCount > 0 else { return }
        if self.times != nil, self.times?.firstToken == nil { self.times?.firstToken = .now() }
        self.keyed?.passed(released.byteCount) { Self.write(released, of: bytes, chunked: false, into: &$0) }
        guard let connection = self.connection, let relay = self.relay else { return }
        if self.endGate.isClosed {
            Self.write(released, of: bytes, chunked: relay.chunked, into: &self.heldTail)
        } else {
            connection.write { Self.write(released, of: bytes, chunked: relay.chunked, into: &$0) }
        }
    }

    private static func write(
        _ released: SSEUsageTap.Released, of bytes: ByteBuffer, chunked: Bool, into out: inout ByteBuffer
    ) {
        ReplyWriter.beginChunk(released.byteCount, chunked: chunked, into: &out)
        if !released.carried.isEmpty { out.writeBytes(released.carried) }
        bytes.withUnsafeReadableBytes { raw in
            released.forEachFreshRange { range in
                out.writeBytes(UnsafeRawBufferPointer(rebasing: raw[range]))
            }
        }
        ReplyWriter.endChunk(chunked: chunked, into: &out)
    }

    private func gather(_ bytes: ByteBuffer) {
        self.relay?.body.writeImmutableBuffer(bytes)
        guard let size = self.relay?.body.readableBytes,
            size > self.loop.configuration.limits.gatheredReplyBytesMax || !self.countGathered(size)
        else { return }
        self.startPassing(length: self.relay?.head.contentLength)
    }

    /// Replies that are held back share one budget with request bodies; small ones are not worth counting.
    private func countGathered(_ size: Int) -> Bool {
        guard size > 64 << 10 else { return true }
        let more = size - self.budgeted
        self.budgeted = size
        return self.loop.budget.add(more)
    }

    func giveBackBudget() {
        guard self.budgeted > 0 else { return }
        self.loop.budget.subtract(self.budgeted)
        self.budgeted = 0
    }

    /// The reply is too large to hold back: its head and what was gathered go out now.
    private func startPassing(length: Int?) {
        guard let gathered = self.relay?.beginPassing() else { return }
        self.giveBackBudget()
        self.startReply(length: length)
        self.passOn(gathered)
    }

    /// The last piece always stays here: with it a reply of known length is complete, and before that its outcome has
    /// to be recorded.
    private func passOn(_ bytes: ByteBuffer) {
        guard let relay = self.relay, bytes.readableBytes > 0 else { return }
        self.keyed?.passed(bytes.readableBytes) { $0.writeImmutableBuffer(bytes) }
        let previous = relay.body
        relay.body = bytes
        self.writePayload(previous)
    }

    func writePayload(_ bytes: ByteBuffer) {
        guard let connection = self.connection, let relay = self.relay, bytes.readableBytes > 0 else {
            return
        }
        connection.write { ReplyWriter.beginChunk(bytes.readableBytes, chunked: relay.chunked, into: &$0) }
        connection.write(buffer: bytes)
        connection.write { ReplyWriter.endChunk(chunked: relay.chunked, into: &$0) }
    }

    // MARK: End

    func upstreamEnd() {
        guard !self.waiting.isWaiting else {
            self.waiting.end = .complete
            return
        }
        self.upstreamEndedAt = .now()
        let tail = self.relay?.finish() ?? SSEUsageTap.Released()
        // The outcome is recorded before the last byte goes to the client (DESIGN §3.8).
        self.settle(.upstreamEnded, complete: true)
        self.upstream?.release()
        self.upstream = nil
        if tail.byteCount > 0 { self.forward(tail, of: ByteBuffer()) }
        self.endReply(.complete)
    }

    func upstreamClosed(_ failure: UpstreamFailure) {
        guard !self.waiting.isWaiting else {
            if self.waiting.end == nil { self.waiting.end = .cut(failure) }
            return
        }
        if failure == .notAccepted, !self.retried, self.relay == nil, self.connection != nil {
            self.tryAgain()
            return
        }
        self.settle(.upstreamCut)
        self.loseUpstream(.upstreamError)
    }

    /// Upstream's message comes to no end. To a client a stream is whole with its `[DONE]`: nothing behind that may say
    /// otherwise.
    func loseUpstream(_ code: Refusal.Code) {
        self.dropUpstream()
        self.endReply(self.relay?.sawDone == true ? .complete : .failed(code))
    }
}

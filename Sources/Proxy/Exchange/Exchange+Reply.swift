import Metering
import NIOCore

/// What the client gets to see.
extension Exchange {
    enum ReplyEnd: Equatable {
        /// Upstream's message ended; the outcome is recorded.
        case complete
        /// It did not, and the client is told so as well as its reply still allows.
        case failed(Refusal.Code)
        /// A stream ends before upstream's: no more credits could be set aside.
        case refused(Refusal)
    }

    /// Sends the head of a reply that is passed on while it comes.
    ///
    /// - Parameter length: bytes of the body when upstream named them.
    func startReply(length: Int?) {
        guard let connection = self.connection, self.relay != nil else { return }
        let chunked = length == nil && self.request.head.minorVersion == 1
        self.relay?.chunked = chunked
        self.relay?.replyStarted = true
        let framing: ReplyWriter.Framing =
            length.map { .length($0) } ?? (chunked ? .chunked : .closeDelimited)
        self.writeHead(framing, on: connection)
    }

    /// Tells the client the end of its reply, when its outcome is safe, and lets the connection go on.
    func endReply(_ end: ReplyEnd) {
        if end == .complete { self.keyed?.hasEnded = true }
        guard let connection = self.connection else {
            self.finish(status: Status.clientClosed, .clientGone)
            return
        }
        switch self.endGate.end(end) {
        case .wait:
            // Only the disk is waited for. What came before the end does not wait, and nobody else flushes it.
            self.deadline = .distantFuture
            connection.flush()
        case .write(.complete):
            self.endComplete(on: connection)
        case .write(.failed(let code)):
            self.endFailed(Refusal(code, Self.message(code)), Self.end(code), on: connection)
        case .write(.refused(let refusal)):
            self.endFailed(refusal, .refused, on: connection)
        }
    }

    private func endComplete(on connection: ClientConnection) {
        guard let relay = self.relay else { return }
        switch relay.mode {
        case .error:
            self.answerUpstreamError(relay)
            return
        case .gathering:
            self.writeHead(.length(relay.body.readableBytes), on: connection)
            connection.write(buffer: relay.body)
        case .stream:
            self.writeReceipt(relay, on: connection)
            connection.write { ReplyWriter.endBody(chunked: relay.chunked, into: &$0) }
        case .passing:
            self.writePayload(relay.body)
            connection.write { ReplyWriter.endBody(chunked: relay.chunked, into: &$0) }
        case .unreadable:
            preconditionFailure("upstreamHead() drops an unreadable response before its end")
        }
        self.measureOverhead()
        self.finish(status: relay.head.status, .complete)
        connection.replyEnded()
    }

    private func endFailed(_ refusal: Refusal, _ end: AccessRecord.End, on connection: ClientConnection) {
        guard let relay = self.relay, relay.replyStarted else {
            self.refuse(refusal, end)
            return
        }
        guard case .stream = relay.mode else {
            // A length was promised: only a broken connection says that it will not come.
            self.finish(status: refusal.code.status, end)
            connection.abort()
            return
        }
        // A stream ends with an error frame that SDKs raise, never with a silent cut (CONTRACT §4).
        // A line that the cut left open is closed first.
        let opening = relay.isInsideReleasedLine ? "\n\n" : ""
        let frame =
            opening + refusal.frame(self.plan?.endpoint.replyShape, sequenceNumber: relay.nextSequenceNumber)
        connection.write { out in
            ReplyWriter.beginChunk(frame.utf8.count, chunked: relay.chunked, into: &out)
            out.writeString(frame)
            ReplyWriter.endChunk(chunked: relay.chunked, into: &out)
        }
        self.writeReceipt(relay, on: connection)
        connection.write { ReplyWriter.endBody(chunked: relay.chunked, into: &$0) }
        self.finish(status: refusal.code.status, end)
        connection.replyEnded()
    }

    private static func end(_ code: Refusal.Code) -> AccessRecord.End {
        code == .upstreamTimeout ? .timeout : .upstreamFailed
    }

    private static func message(_ code: Refusal.Code) -> String {
        switch code {
        case .upstreamTimeout: "The upstream model provider did not answer in time."
        default: "The upstream model provider failed to answer."
        }
    }

    // MARK: Upstream errors

    /// The operator's own trouble with OpenAI is never shown as the customer's (CONTRACT §4).
    private func answerUpstreamError(_ relay: Relay) {
        let status = relay.head.status
        switch status {
        case 400, 404, 409, 413, 415, 422:
            self.passOnError(relay)
        case 429 where !UpstreamError.isQuota(relay.body):
            var refusal = Refusal(
                .upstreamRateLimited, "The upstream model provider is rate limiting; try again.")
            refusal.retryAfterSeconds = relay.retryAfterSeconds ?? 1
            self.refuse(refusal, .upstreamRefused)
        case 408, 504:
            self.refuse(Refusal(.upstreamTimeout, Self.message(.upstreamTimeout)), .timeout)
        default:
            self.refuse(Refusal(.upstreamError, Self.message(.upstreamError)), .upstreamFailed)
        }
    }

    /// The request itself was at fault: upstream's own words help most.
    private func passOnError(_ relay: Relay) {
        guard let connection = self.connection else { return }
        guard !UpstreamError.namesTheOperator(relay.body) else {
            self.refuse(Refusal(.upstreamError, Self.message(.upstreamError)), .upstreamFailed)
            return
        }
        self.writeHead(.length(relay.body.readableBytes), on: connection)
        connection.write(buffer: relay.body)
        self.finish(status: relay.head.status, .upstreamRefused)
        connection.replyEnded()
    }

    // MARK: Parts

    private func writeHead(_ framing: ReplyWriter.Framing, on connection: ClientConnection) {
        guard let relay = self.relay else { return }
        self.firstByteAt = .now()
        let facts = self.facts(relay, self.plan)
        let date = self.loop.now()
        // Only the end of the connection tells the end of such a reply.
        if framing == .closeDelimited {
            connection.closesAfterReply = true
            connection.endsReplyByClosing = true
        }
        let persistence = connection.persistence(of: self.request.head)
        connection.write { out in
            ReplyWriter.upstreamHead(
                relay.head, bytes: relay.headBytes, framing: framing, facts: facts,
                persistence: persistence, date: date, into: &out)
        }
    }

    /// What is told of the exchange, as far as it is known.
    func facts(_ relay: Relay, _ plan: AdmissionPlan?) -> ReplyWriter.Facts {
        var facts = ReplyWriter.Facts(hold: self.hold)
        // Of what is free there is nothing to tell.
        if let plan {
            facts.priceID = plan.price.priceID
            facts.held = self.waiver == nil ? self.grant : .zero
            facts.waiver = self.waiver
            facts.maxToolCalls = plan.imposedToolCalls
            facts.onDisconnect = plan.stream ? self.onDisconnect(plan) : nil
        }
        facts.limits = self.notes.limits
        facts.nearCaps = self.notes.nearCaps
        facts.maxOutputTokens = self.sentCap
        facts.charged = relay.charged
        facts.balance = relay.charged.flatMap { self.balance.subtracting($0) }
        return facts
    }

    /// One comment line for clients that asked for it, before the end of the stream.
    private func writeReceipt(_ relay: Relay, on connection: ClientConnection) {
        guard let charged = relay.charged, self.request.wantsReceipt else { return }
        let balance = self.balance.subtracting(charged) ?? self.balance
        let line = ": tollgate charged=\(charged) balance=\(balance)\n\n"
        self.keyed?.passed(line.utf8.count) { $0.writeString(line) }
        connection.write { out in
            ReplyWriter.beginChunk(line.utf8.count, chunked: relay.chunked, into: &out)
            out.writeString(line)
            ReplyWriter.endChunk(chunked: relay.chunked, into: &out)
        }
    }

    private func measureOverhead() {
        guard let sent = self.sentUpstreamAt else { return }
        let ours = self.upstreamEndedAt.map { NIODeadline.now() - $0 } ?? .zero
        self.loop.metrics.addOverhead(sent - self.startedAt + ours)
    }
}

/// What upstream's error bodies say that matters here.
enum UpstreamError {
    /// It speaks of the operator's account (CONTRACT §4), such as "Your organization must be verified to stream this
    /// model" or "Project `proj_…` does not have access to model".
    static func namesTheOperator(_ body: ByteBuffer) -> Bool {
        let text = String(buffer: body)
        return [
            "your organization", "Your organization", "org-", "proj_", "sk-", "platform.openai.com/settings",
        ]
        .contains { text.contains($0) }
    }

    /// The operator is out of quota: `type: insufficient_quota`, or one of the spend-limit codes.
    static func isQuota(_ body: ByteBuffer) -> Bool {
        let text = String(buffer: body)
        return [
            "insufficient_quota", "credit_balance_exhausted", "spend_limit_exceeded", "usage_limit_exceeded",
        ]
        .contains { text.contains($0) }
    }
}

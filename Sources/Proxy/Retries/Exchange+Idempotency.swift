import Metering
import NIOCore

/// Requests with an `Idempotency-Key`: one of them runs, the others get its reply. `IdempotentRun` decides.
extension Exchange {
    /// What can be said of the key before the body is read.
    var refusalOfKey: Refusal? {
        guard let range = self.request.head.idempotencyKey else { return nil }
        let isKey = self.request.headBytes.withUnsafeReadableBytes {
            KeyedRequest.isKey(UnsafeRawBufferPointer(rebasing: $0[range]))
        }
        return isKey ? nil : .badIdempotencyKey
    }

    /// The body is a request that can be admitted. Its texts are counted next; with a key only when no other exchange
    /// runs or ran under it. A replay needs no money and no limits, and takes none.
    func claimKey(_ request: InspectedRequest) {
        guard let range = self.request.head.idempotencyKey, let account = self.account else {
            self.count(request)
            return
        }
        let claim = KeyClaim(
            account: account.account, hold: self.hold, secrets: self.secrets(of: account.account, range))
        self.keyed = KeyedRun(claim, self.loop.configuration, budget: self.loop.budget)
        let back = NIOLoopBound(self, eventLoop: self.loop.eventLoop)
        let eventLoop = self.loop.eventLoop
        self.loop.dependencies.replies.claim(claim) { answer in
            eventLoop.execute { back.value.claimed(answer, request) }
        }
    }

    private func secrets(of account: AccountID, _ key: Range<Int>) -> [ClaimSecrets] {
        self.request.headBytes.withUnsafeReadableBytes { head in
            self.request.body.withUnsafeReadableBytes { body in
                self.loop.keyHasher.secrets(
                    of: KeyedRequest(
                        account: account, key: UnsafeRawBufferPointer(rebasing: head[key]),
                        method: self.request.method, path: self.request.path,
                        contentType: self.contentType(in: head),
                        body: body))
            }
        }
    }

    private func claimed(_ answer: Result<ClaimAnswer, ClaimFailure>, _ request: InspectedRequest) {
        guard let keyed = self.keyed else { return }
        switch keyed.answered(answer) {
        case .run:
            self.count(request)
        case .replay(let reply):
            self.replay(reply)
        case .refuse(let why):
            self.refuse(.idempotency(why))
        case .refuseAndFree(let why):
            self.loop.runEnds.tell(keyed.claim, .free)
            self.refuse(.idempotency(why))
        case .free:
            self.loop.runEnds.tell(keyed.claim, .free)
        case .ignore:
            break
        }
    }

    private func replay(_ reply: KeptReply) {
        guard let connection = self.connection else {
            self.finish(status: Status.clientClosed, .clientGone)
            return
        }
        let date = self.loop.now()
        let persistence = connection.persistence(of: self.request.head)
        connection.write { ReplyWriter.replay(reply, persistence: persistence, date: date, into: &$0) }
        connection.write(buffer: ByteBuffer(bytes: reply.body))
        self.finish(status: reply.status, .replayed)
        connection.replyEnded()
    }

    /// To be called a few times per second.
    func renewClaim(_ now: NIODeadline) {
        guard let keyed = self.keyed, keyed.mustRenew(now) else { return }
        self.loop.dependencies.replies.renew(keyed.claim)
    }

    /// What happens upstream when the client leaves: under a key it comes back for its reply.
    func onDisconnect(_ plan: AdmissionPlan) -> DisconnectPolicy {
        self.keyed == nil ? plan.onDisconnect(self.loop.configuration.onDisconnect) : .drain
    }

    // MARK: The copy

    /// A reply began: its fields are kept before its head is let go.
    func copyFields(of relay: Relay) {
        guard let keyed = self.keyed else { return }
        keyed.fields = ReplyWriter.passingFields(relay.head, relay.headBytes)
    }

    /// The exchange is over: its key is told what came of it. A whole reply was charged and is never run again; all
    /// others are tried anew by a retry.
    func endRun() {
        guard let keyed = self.keyed else { return }
        let isWhole = self.isReplyWhole(keyed)
        if isWhole, case .gathering? = self.relay?.mode, let body = self.relay?.body {
            keyed.passed(body.readableBytes) { $0.writeImmutableBuffer(body) }
        }
        switch keyed.ended(isWhole: isWhole) {
        case .keep:
            guard let relay = self.relay, let plan = self.plan else {
                preconditionFailure("a reply that is whole has a relay, and its request a plan")
            }
            let (body, counted) = keyed.takeBody()
            let fields = keyed.fields + ReplyWriter.keptFields(self.facts(relay, plan))
            self.loop.runEnds.tell(
                keyed.claim, .keep(KeptReply(status: relay.head.status, fields: fields, body: body)),
                counted: counted)
        case .withoutReply: self.loop.runEnds.tell(keyed.claim, .withoutReply)
        case .free: self.loop.runEnds.tell(keyed.claim, .free)
        case .nothing: break
        }
        keyed.drop()
    }

    private func isReplyWhole(_ keyed: KeyedRun) -> Bool {
        switch self.relay?.mode {
        // To its client a stream is whole with its `[DONE]`, and many leave there.
        // One that only stops may be half of a reply.
        case .stream(let reading): reading.look { $0.sawDone && !$0.sawErrorFrame }
        case .gathering(let reading), .passing(let reading):
            keyed.hasEnded && !reading.look { $0.isErrorObject }
        case .error, .unreadable, nil: false
        }
    }
}

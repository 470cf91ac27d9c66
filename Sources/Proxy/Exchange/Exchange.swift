import Metering
import NIOCore

/// One client request to the data plane and its upstream response.
///
/// The decisions are made elsewhere: `HoldMachine` (how it ends), `AdmissionPlan` (what is held), `ReplyMode`
/// (how the response is read). This class carries them out on one event loop, from the first to the last
/// byte, and lives on after its client when the response is drained.
final class Exchange {
    let loop: LoopContext
    let request: PendingRequest
    let route: DataRoute
    let hold: HoldID
    let startedAtMilliseconds: Int64
    let startedAt: NIODeadline
    /// nil once the client is gone.
    private(set) var connection: ClientConnection?

    // Admission, in the order in which it becomes known.
    var account: AccountRecord?
    var chat: ChatRequest?
    var plan: AdmissionPlan?
    var machine = HoldMachine()
    /// Room in the settlement sink was reserved and is neither used nor given back.
    var hasReservation = false
    var grant: Millicredits = .zero
    /// Posted − captured when the hold was placed.
    var balance: Millicredits = .zero
    var sentCap: Int64?

    // Upstream and relay.
    var upstream: UpstreamConnection?
    var waitsForUpstream = false
    var sentUpstreamAt: NIODeadline?
    /// The upstream connection served others before.
    var upstreamReused: Bool?
    /// When the head of the reply was written.
    var firstByteAt: NIODeadline?
    /// What was settled, for the access log.
    var posted: Settlement?
    /// The client, its proxies seen through.
    let client: ClientAddress
    let transport: ListenerTransport
    /// When the last byte of the response was read.
    var upstreamEndedAt: NIODeadline?
    var evidence = ExchangeEvidence()
    var relay: Relay?
    /// When what is being waited for has lasted too long.
    var deadline: NIODeadline = .distantFuture
    /// When the whole exchange has (`EXCHANGE_TIMEOUT_SECONDS`).
    private let endsBy: NIODeadline
    /// PLACE was sent and its answer has not come.
    var isPlacing = false
    /// A dead upstream connection was replaced once.
    var retried = false
    var isUpstreamPaused = false
    private var isCountedOpen = false
    /// Bytes of a held-back reply that count against the process' budget.
    var budgeted = 0
    private(set) var isOver = false
    /// The outcome is on its way to the disk: until it is there, the end of the reply stays here (JOURNAL_SYNC=strict).
    var awaitsSafety = false
    var heldTail = ByteBuffer()
    var endWhenSafe: ReplyEnd?
    /// The journal knows that the request went upstream.
    private var isOpened = false
    private var outputTold: Int64 = 0
    /// What the connection had sent before this reply.
    private let bytesSentBefore: Int
    private var bytesSentAtHangUp = 0

    init(_ request: PendingRequest, route: DataRoute, loop: LoopContext, connection: ClientConnection) {
        self.request = request
        self.route = route
        self.loop = loop
        self.connection = connection
        self.startedAt = .now()
        self.endsBy = self.startedAt + loop.configuration.timeouts.exchange
        self.bytesSentBefore = connection.bytesSent
        self.client = loop.configuration.trustedPeers.client(peer: connection.peer, of: request)
        self.transport = connection.transport
        self.startedAtMilliseconds = LoopContext.wallMilliseconds()
        self.hold = loop.makeHoldID(millisecondsSinceEpoch: self.startedAtMilliseconds)
    }

    /// Bytes of the reply so far, framing included.
    var responseBytes: Int {
        guard let connection = self.connection else { return self.bytesSentAtHangUp }
        return connection.bytesSent + connection.outbox.readableBytes - self.bytesSentBefore
    }

    var shape: Refusal.Shape { self.route == .aiChat ? .api : .openAI }

    func start() {
        self.loop.register(self)
        self.authenticate()
    }

    // MARK: Ends

    /// Answers the request ourselves. Nothing was sent to the client before.
    func refuse(_ refusal: Refusal, _ end: AccessRecord.End = .refused) {
        self.giveBackReservation()
        guard let connection = self.connection else {
            self.finish(status: Status.clientClosed, .clientGone)
            return
        }
        connection.abandonBody()
        let headOnly = self.request.head.method == .head
        let date = self.loop.now()
        connection.write { out in
            ReplyWriter.refusal(
                refusal, shape: self.shape, hold: self.hold,
                persistence: connection.persistence(of: self.request.head),
                headOnly: headOnly,
                date: date, into: &out)
        }
        self.finish(status: refusal.code.status, end)
        connection.replyEnded()
    }

    /// Takes the exchange out of the loop's table; the caller has told the client.
    func finish(status: Int, _ end: AccessRecord.End) {
        guard !self.isOver else { return }
        self.isOver = true
        self.loop.log(self.record(status: status, end))
        self.loop.unregister(self)
        self.deadline = .distantFuture
        self.giveBackBudget()
        self.leaveUpstream()
        self.loop.metrics.countRequest(self.route.label, status: status)
        self.connection = nil
    }

    /// The request is at upstream: counted in `proxy_streams_open`.
    func enterUpstream(at now: NIODeadline) {
        self.sentUpstreamAt = now
        self.isCountedOpen = true
        self.loop.metrics.streamsOpen.wrappingAdd(1, ordering: .relaxed)
    }

    func leaveUpstream() {
        guard self.isCountedOpen else { return }
        self.isCountedOpen = false
        self.loop.metrics.streamsOpen.wrappingSubtract(1, ordering: .relaxed)
    }

    func giveBackReservation() {
        guard self.hasReservation else { return }
        self.hasReservation = false
        self.loop.dependencies.settlements.giveBackReservation()
    }

    /// The request turned out not to be one: the connection answers it.
    func withdrawn() {
        self.isOver = true
        self.loop.unregister(self)
        self.connection = nil
    }

    /// The reply goes on after the client closed its sending side: it comes whole, upstream is at it, and its
    /// cost arises anyway. Before that, and for a stream, the client counts as gone.
    var outlivesInput: Bool {
        guard self.sentUpstreamAt != nil, let plan = self.plan else { return self.machine.isSettled }
        return plan.onDisconnect(self.loop.configuration.onDisconnect) == .drain
    }

    /// The client's connection closed. Called by the connection, which has let go of us already.
    func clientGone() {
        guard !self.isOver else { return }
        self.bytesSentAtHangUp = self.responseBytes
        self.connection = nil
        switch self.machine.clientGone() {
        case .waitForGrant:
            // Whoever answers a look-up sees that nobody waits; only a grant must be given back.
            if !self.isPlacing { self.finish(status: Status.clientClosed, .clientGone) }
        case .end:
            self.clientGoneWhileHeld()
        case .nothing:
            self.finish(status: Status.clientClosed, .clientGone)
        }
    }

    private func clientGoneWhileHeld() {
        guard self.sentUpstreamAt != nil, let plan = self.plan else {
            // Still waiting for an upstream connection: nothing was sent.
            self.loop.pool.cancel(self)
            self.settle(.clientGone)
            self.finish(status: Status.clientClosed, .clientGone)
            return
        }
        if plan.onDisconnect(self.loop.configuration.onDisconnect) == .drain {
            self.deadline = min(self.deadline, .now() + self.loop.configuration.timeouts.drain)
            // Without a client it is not sent again, so nothing of it is kept.
            self.request.slim()
            self.isUpstreamPaused = false
            self.upstream?.resumeReads()
            return
        }
        self.settle(.clientGone)
        self.dropUpstream()
        self.finish(status: Status.clientClosed, .clientGone)
    }

    /// The server stops now, with this exchange still running.
    func shutDown() {
        if case .end = self.machine.clientGone() {
            self.settle(.upstreamCut)
        }
        self.dropUpstream()
        let connection = self.connection
        self.finish(status: Status.clientClosed, .shutdown)
        connection?.abort()
    }

    func dropUpstream() {
        self.upstream?.abort()
        self.upstream = nil
    }

    /// Called a few times per second.
    func checkDeadline(_ now: NIODeadline) {
        guard now >= min(self.deadline, self.endsBy) else { return }
        guard self.plan != nil else {
            self.refuse(Refusal(.requestTimeout, "The request did not arrive in time."))
            return
        }
        // Only a grant can be awaited for longer than its own, shorter deadline.
        guard !self.isPlacing else { return }
        self.loop.pool.cancel(self)
        self.settle(.upstreamTimeout)
        self.dropUpstream()
        self.endReply(.failed(.upstreamTimeout))
    }

    // MARK: The outcome

    /// Decides the outcome from everything seen so far, once, records it, and ends the hold. From here on it
    /// must succeed.
    ///
    /// - Parameter complete: upstream's message ended as framed.
    func settle(_ cause: EndCause, complete: Bool = false) {
        guard let plan = self.plan, let account = self.account else { return }
        if let upstream = self.upstream { self.evidence.written = upstream.requestWritten }
        // A successful, complete message proves that upstream had the whole request, whatever the socket said
        // last.
        if complete, let status = self.relay?.head.status, status < 300 { self.evidence.written = .fully }
        self.relay?.evidence(complete: complete, usageBounds: plan.usageBounds, into: &self.evidence)
        switch self.machine.end(cause, self.evidence, inputEstimate: plan.inputEstimateTokens) {
        case .ignoreDuplicate:
            return
        case .void:
            self.record(self.settlement(plan, account, .void, .zero, .zero, nil))
            self.loop.holds.release(self.hold, of: account.account)
        case .capture(let usage, let hold, let reason):
            let served = self.relay.map(\.servedTier) ?? .default
            let (charge, because) = plan.price.settledCharge(
                for: usage, estimatedBecause: reason, served: served, permitted: plan.bounds.permittedTiers,
                hold: hold, mode: plan.mode)
            if charge.amount > hold {
                self.loop.metrics.overHold.wrappingAdd(1, ordering: .relaxed)
            }
            let settlement = self.settlement(plan, account, .final, usage, charge, because)
            self.record(settlement)
            self.loop.holds.capture(settlement)
            self.relay?.charged = charge.amount
        }
    }

    private func record(_ settlement: Settlement) {
        self.posted = settlement
        precondition(
            self.hasReservation, "admit() reserves before it places, and only one outcome is decided")
        self.hasReservation = false
        let (eventLoop, bound) = (
            self.loop.eventLoop, NIOLoopBound(self, eventLoop: self.loop.eventLoop)
        )
        self.awaitsSafety = self.loop.dependencies.settlements.record(settlement) {
            eventLoop.execute { bound.value.becameSafe() }
        }
    }

    /// The outcome is on the disk: what was held back goes on.
    private func becameSafe() {
        guard self.awaitsSafety else { return }
        self.awaitsSafety = false
        let tail = self.heldTail
        self.heldTail = ByteBuffer()
        if tail.readableBytes > 0, let connection = self.connection {
            connection.write(buffer: tail)
            connection.flush()
        }
        guard let end = self.endWhenSafe, !self.isOver else { return }
        self.endWhenSafe = nil
        self.endReply(end)
    }

    // MARK: For those who find us dead

    /// The request goes upstream now: the journal learns what is settled if this process dies (rule J8), and the hold
    /// what a reaper charges if its disk dies with it.
    func openJournal() {
        guard !self.isOpened, let plan = self.plan, let account = self.account else { return }
        self.isOpened = true
        let usage = Usage(input: plan.inputEstimateTokens, output: 0)
        let charge = self.estimatedCharge(plan, usage)
        var worst = self.settlement(plan, account, .orphan, usage, charge, .proxyDied)
        worst.authority = .recovery
        self.loop.dependencies.settlements.opened(worst)
        self.loop.holds.progressed(self.hold, charge: charge.amount)
    }

    /// To be called once per second: what passed meanwhile is told.
    func tellProgress() {
        guard self.isOpened, !self.machine.isSettled, let plan = self.plan, let relay = self.relay else {
            return
        }
        let output = relay.visibleOutput
        guard output > self.outputTold else { return }
        self.outputTold = output
        let charge = self.estimatedCharge(plan, Usage(input: plan.inputEstimateTokens, output: output))
        self.loop.dependencies.settlements.progressed(
            ExchangeProgress(hold: self.hold, outputTokens: output, charge: charge))
        self.loop.holds.progressed(self.hold, charge: charge.amount)
    }

    private func estimatedCharge(_ plan: AdmissionPlan, _ usage: Usage) -> Charge {
        plan.price.settledCharge(
            for: usage, estimatedBecause: .proxyDied, served: self.relay.map(\.servedTier) ?? .default,
            permitted: plan.bounds.permittedTiers, hold: self.grant, mode: plan.mode
        ).charge
    }

    private func settlement(
        _ plan: AdmissionPlan, _ account: AccountRecord, _ kind: Settlement.Kind, _ usage: Usage,
        _ charge: Charge,
        _ because: EstimateReason?
    ) -> Settlement {
        Settlement(
            account: account.account, hold: self.hold, owner: self.loop.configuration.boot, kind: kind,
            authority: .owner, endpoint: .chat, modelRequested: self.chat?.model ?? plan.price.model,
            modelServed: self.relay?.servedModel, servedTier: self.relay?.servedTierLiteral,
            priceID: plan.price.priceID, usage: usage, charge: charge, estimatedBecause: because,
            upstreamRequestID: self.relay?.upstreamRequestID,
            occurredAtMilliseconds: self.startedAtMilliseconds)
    }
}

/// Status codes that are not sent, only counted.
enum Status {
    /// The client closed before the end of its reply (nginx's 499).
    static let clientClosed = 499
}

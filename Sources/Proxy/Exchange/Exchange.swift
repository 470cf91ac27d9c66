import Metering
import NIOCore

/// One client request to the data plane and its upstream response.
///
/// The decisions are made elsewhere: `HoldMachine` (how it ends), `AdmissionPlan` (what is held), `Relay.Mode`
/// (how the response is read), `EndGate` (when its end may go on). This class carries them out on one event
/// loop, from the first to the last byte, and lives on after its client when the response is drained.
final class Exchange {
    let loop: LoopContext
    let request: PendingRequest
    let route: DataRoute
    let hold: HoldID
    /// On the ledger's clock, as the id of the hold.
    let startedAtMilliseconds: Int64
    /// The clock was trusted when `hold` was made.
    let hasTrustedTime: Bool
    let startedAt: NIODeadline
    let trace: TraceContext?
    /// nil: no spans are made of this exchange.
    var times: ExchangeTimes?
    /// nil once the client is gone.
    private(set) var connection: ClientConnection?

    // Admission, in the order in which it becomes known.
    var key: KeyRecord?
    var account: AccountRecord?
    var plan: AdmissionPlan?
    /// It is served and not charged: decided at admission, whatever is switched meanwhile.
    var waiver: Waiver?
    var machine = HoldMachine()
    /// Room in the settlement sink was reserved and is neither used nor given back.
    var hasReservation = false
    var grant: Millicredits = .zero
    /// Posted − captured when the hold was placed.
    var balance: Millicredits = .zero
    var sentCap: Int64?
    /// The hold grows with the stream.
    var rolling: RollingHold?
    /// What came of upstream while the stream waits for credits.
    var waiting = WaitingStream()
    /// What the grant said of limits and caps.
    var notes: GrantNotes = .none
    /// Instead of all that: a stored response is fetched, which costs nothing.
    var retrieval: Retrieval?
    /// The stores were told whose the response is.
    var isOwnerTold = false
    /// The request has an `Idempotency-Key`.
    var keyed: KeyedRun?

    // Upstream and relay.
    var upstream: UpstreamConnection?
    var waitsForUpstream = false
    var sentUpstreamAt: NIODeadline?
    /// The upstream connection served others before.
    var upstreamReused: Bool?
    /// When the head of the reply was written.
    var firstByteAt: NIODeadline?
    /// What was settled, for the access log.
    var posted: KeptSettlement = .none
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
    /// Keeps the end of the reply here while its outcome is on its way to the disk (JOURNAL_SYNC=strict).
    var endGate = EndGate()
    /// Bytes of a stream that wait behind `endGate`, in the client's framing.
    var heldTail = ByteBuffer()
    /// The journal knows that the request went upstream.
    var isOpened = false
    /// Output tokens that the journal knows of.
    var outputTold: Int64 = 0
    /// What the connection had sent before this reply.
    private let bytesSentBefore: Int
    private var bytesSentAtHangUp = 0

    init(_ request: PendingRequest, route: DataRoute, loop: LoopContext, connection: ClientConnection) {
        self.request = request
        self.route = route
        self.loop = loop
        self.connection = connection
        self.startedAt = .now()
        self.trace = loop.trace(of: request, from: connection.peer)
        if loop.configuration.tracing.sink != nil, self.trace?.isSampled == true {
            self.times = ExchangeTimes(upstreamSpan: loop.makeSpanID())
        }
        self.endsBy = self.startedAt + loop.configuration.timeouts.exchange
        self.bytesSentBefore = connection.bytesSent
        self.client = loop.configuration.trustedPeers.client(peer: connection.peer, of: request)
        self.transport = connection.transport
        self.hasTrustedTime = loop.dependencies.clock.isTrusted
        self.startedAtMilliseconds = loop.dependencies.clock.nowMilliseconds()
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
        if refusal.code == .insufficientCredits {
            self.loop.metrics.insufficientCredits.wrappingAdd(1, ordering: .relaxed)
        }
        guard let connection = self.connection else {
            self.finish(status: Status.clientClosed, .clientGone)
            return
        }
        connection.abandonBody()
        let headOnly = self.request.head.method == .head
        let date = self.loop.now()
        var refusal = refusal
        if refusal.code == .upstreamRateLimited { refusal.limits = self.notes.limits }
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
        self.endRun()
        if self.loop.logsAccess || self.times != nil {
            let record = self.record(status: status, end)
            self.loop.log(record)
            self.exportSpan(record)
        }
        self.loop.unregister(self)
        self.deadline = .distantFuture
        self.giveBackBudget()
        self.leaveUpstream()
        // Whoever leaves a stream behind its `[DONE]` leaves upstream before its end.
        self.dropUpstream()
        self.heldTail = ByteBuffer()
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
    /// cost arises anyway; or only its end is missing. Before that, and for a stream, the client counts as gone.
    var outlivesInput: Bool {
        guard !self.machine.isSettled else { return true }
        guard self.sentUpstreamAt != nil, let plan = self.plan else { return false }
        return self.onDisconnect(plan) == .drain
    }

    /// The client's connection closed. Called by the connection, which has let go of us already.
    func clientGone() {
        guard !self.isOver else { return }
        self.bytesSentAtHangUp = self.responseBytes
        self.connection = nil
        switch self.machine.clientGone() {
        case .waitForGrant:
            if self.retrieval != nil { self.loop.pool.cancel(self) }
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
        if self.onDisconnect(plan) == .drain {
            self.deadline = min(self.deadline, .now() + self.loop.configuration.timeouts.drain)
            // Without a client it is not sent again, so nothing of it is kept.
            self.request.slim()
            // Who waits for credits goes on when they come.
            guard !self.waiting.isWaiting else { return }
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
        self.renewClaim(now)
        guard now >= min(self.deadline, self.endsBy) else { return }
        guard self.plan != nil || self.retrieval != nil else {
            self.refuse(Refusal(.requestTimeout, "The request did not arrive in time."))
            return
        }
        // Only a grant can be awaited for longer than its own, shorter deadline.
        guard !self.isPlacing else { return }
        if self.endGate.holdsEnd {
            self.cut()
            return
        }
        guard !self.waiting.isWaiting else {
            // Upstream is not late: it is the hold store that does not say whether the stream may go on.
            self.creditsEnded(self.rolling?.refusal ?? .unavailable)
            return
        }
        self.loop.pool.cancel(self)
        self.settle(.upstreamTimeout)
        self.loseUpstream(.upstreamTimeout)
    }

    /// The exchange's time is over and its outcome is not on the disk yet: the client must not see a complete reply.
    private func cut() {
        let connection = self.connection
        self.finish(status: Refusal.Code.upstreamTimeout.status, .timeout)
        connection?.abort()
    }
}

/// Status codes that are not sent, only counted.
enum Status {
    /// The client closed before the end of its reply (nginx's 499).
    static let clientClosed = 499
}

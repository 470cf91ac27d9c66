import Logging
import Metering
import NIOCore

/// The hold store as one event loop sees it: one connection, one table of live holds.
///
/// The table is the exchange's side of the truth. Redis may lose anything; what it should know is issued
/// again from the present state, never by repeating old commands (MONEY_PATH K1–K6).
// SAFETY: confined to `loop`; every entry point asserts it. Sendable only so that callbacks of that loop may
// hold it.
public final class RedisHoldSession: HoldSession, RedisLinkOwner, @unchecked Sendable {
    typealias Slot = SessionSlot

    let loop: any EventLoop
    let boot: BootID
    /// Only tests change it, on the loop.
    var settings: RedisHoldSettings
    let shared: SharedHoldState
    let link: RedisLink<RedisHoldSession>
    let logger: Logger

    var live: [HoldID: LiveHold] = [:]
    var coldLoads: [AccountID: ColdLoad] = [:]
    var breaker: CircuitBreaker
    private var placing = CircularBuffer<LiveHold>(initialCapacity: 64)
    private var deadlineTimer: Scheduled<Void>?
    private var upkeep: RepeatedTask?
    var isShuttingDown: Bool { self.shutdownPromise != nil }
    private var shutdownPromise: EventLoopPromise<Void>?
    private var countedBreakerOpen = false

    /// Raised with every lost connection; the fence of rule R2.
    private(set) var generation: Int64 = 1
    private(set) var greeting = Greeting()
    private(set) var knownLedgerGeneration: Int64 = 0
    private(set) var epoch = ""
    private let loopName: String
    /// Arguments of every PLACE, as RESP: epoch, loop, generation.
    private(set) var placePrefix: [UInt8] = []
    /// loop, generation, raise = 0 or 1.
    private(set) var fencePrefix: [UInt8] = []
    private(set) var raisingPrefix: [UInt8] = []
    /// ttl, owner.
    let leaseArguments: [UInt8]
    let ownerArgument: [UInt8]

    init(
        loop: any EventLoop, number: Int, boot: BootID, settings: RedisHoldSettings, shared: SharedHoldState,
        link: RedisLink<RedisHoldSession>, logger: Logger
    ) {
        self.loop = loop
        self.boot = boot
        self.settings = settings
        self.shared = shared
        self.link = link
        self.logger = logger
        self.loopName = "\(boot).\(number)"
        self.breaker = CircuitBreaker(.init(failuresMax: settings.breakerFailuresMax))
        self.ownerArgument = preparedArgument("\(boot)")
        self.leaseArguments =
            preparedArgument("\(settings.lease.nanoseconds / 1_000_000)") + self.ownerArgument
    }

    // MARK: HoldSession

    /// `completion` may be called before this returns (nothing is connected, the breaker is open).
    public func place(_ request: PlaceRequest, completion: @escaping (PlaceAnswer) -> Void) {
        self.loop.assertInEventLoop()
        guard self.link.isReady, self.shutdownPromise == nil else {
            return self.refuse(.disconnected, completion)
        }
        let now = NIODeadline.now()
        guard self.breaker.admit(now: now) != .refuse else { return self.refuse(.breakerOpen, completion) }
        // A hold id is made for one exchange; a second PLACE of it is a mistake of ours that must not harm
        // the first.
        guard self.live[request.hold] == nil else { return self.refuse(.storeRefused, completion) }
        let hold = LiveHold(
            request: request, deadline: now + self.settings.placeDeadline, completion: completion)
        self.live[request.hold] = hold
        self.placing.append(hold)
        self.armDeadlineTimer()
        self.sendPlace(hold)
    }

    public func capture(_ settlement: Settlement) {
        self.loop.assertInEventLoop()
        let hold: LiveHold
        if let known = self.live[settlement.hold] {
            hold = known
            guard hold.track.capture() else { return }
            self.shared.counters.holdsOpen.add(-1)
        } else {
            hold = self.adopt(settlement)
        }
        hold.settlement = settlement
        self.sendEnd(hold)
    }

    public func release(_ hold: HoldID, of account: AccountID) {
        self.loop.assertInEventLoop()
        guard let hold = self.live[hold] else { return }
        switch hold.track.release() {
        case .send:
            self.shared.counters.holdsOpen.add(-1)
            self.sendEnd(hold)
        case .waitForGrant: hold.completion = nil
        case .forget: self.forget(hold)
        case .ignore: break
        }
    }

    private func refuse(_ reason: HoldsUnavailable, _ completion: (PlaceAnswer) -> Void) {
        self.shared.counters.count(.unavailable(reason))
        completion(.unavailable(reason))
    }

    /// A capture whose hold this session never placed (taken over from another one).
    private func adopt(_ settlement: Settlement) -> LiveHold {
        let request = PlaceRequest(
            account: settlement.account, hold: settlement.hold, want: .zero, least: .zero,
            inputEstimate: .zero,
            priceID: settlement.priceID, endpoint: settlement.endpoint)
        let hold = LiveHold(
            request: request, track: .adopted(settlement.charge.amount), deadline: .distantPast,
            completion: nil)
        self.live[settlement.hold] = hold
        return hold
    }

    // MARK: Answers and deadlines

    /// Answers whoever waits; once.
    func answer(_ hold: LiveHold, _ answer: PlaceAnswer) {
        guard let completion = hold.completion else { return }
        hold.completion = nil
        self.shared.counters.count(answer)
        completion(answer)
    }

    /// Answers and drops a hold of which the store has nothing.
    func end(_ hold: LiveHold, _ answer: PlaceAnswer) {
        hold.track.ended()
        self.forget(hold)
        self.answer(hold, answer)
    }

    func forget(_ hold: LiveHold) {
        if self.live[hold.request.hold] === hold { self.live[hold.request.hold] = nil }
        self.finishShutdownIfIdle()
    }

    private func armDeadlineTimer() {
        guard self.deadlineTimer == nil, let first = self.placing.first else { return }
        self.deadlineTimer = self.loop.scheduleTask(deadline: first.deadline) {
            self.deadlineTimer = nil
            self.passDeadlines(now: .now())
        }
    }

    /// All in `placing` got the same time, so the first is the next to expire. Those that went on to the
    /// ledger have a later deadline; the upkeep looks at them.
    private func passDeadlines(now: NIODeadline) {
        while let first = self.placing.first {
            let isPast = first.deadline <= now
            guard first.track.phase != .placing || isPast || first.isWithLedger else { break }
            self.placing.removeFirst()
            if isPast { self.deadlinePassed(first, now: now) }
        }
        self.noteBreaker()
        self.armDeadlineTimer()
    }

    func deadlinePassed(_ hold: LiveHold, now: NIODeadline) {
        let storeIsSilent = hold.track.placeIsOut
        let answer = hold.pendingRefusal ?? .unavailable(storeIsSilent ? .deadline : .ledgerUnreachable)
        switch hold.track.gaveUp() {
        case .ignore: return
        case .answerAndWait: break
        case .answerAndForget: self.forget(hold)
        }
        if storeIsSilent { self.breaker.failed(now: now) }
        self.answer(hold, answer)
    }

    /// PLACE needs the ledger: it gets the longer deadline, once.
    func goToLedger(_ hold: LiveHold) {
        guard !hold.isWithLedger else { return }
        hold.isWithLedger = true
        hold.deadline = .now() + self.settings.ledgerDeadline
    }

    // MARK: Life

    func start() {
        self.loop.assertInEventLoop()
        self.link.start(owner: self)
        self.upkeep = self.loop.scheduleRepeatedTask(
            initialDelay: self.settings.upkeepEvery, delay: self.settings.upkeepEvery
        ) { _ in self.keepUp(now: .now()) }
    }

    /// Waits a moment for the last acknowledgements, then closes.
    func shutdown() -> EventLoopFuture<Void> {
        self.loop.assertInEventLoop()
        if let promise = self.shutdownPromise { return promise.futureResult }
        let promise = self.loop.makePromise(of: Void.self)
        self.shutdownPromise = promise
        let timer = self.loop.scheduleTask(in: self.settings.shutdownGrace) { self.finishShutdown() }
        promise.futureResult.whenComplete { _ in timer.cancel() }
        self.finishShutdownIfIdle()
        return promise.futureResult
    }

    private func finishShutdownIfIdle() {
        guard self.shutdownPromise != nil else { return }
        guard !self.live.values.contains(where: { $0.track.phase != .held }) else { return }
        // Not in the middle of a reply: the connection is closed after it was handled.
        self.loop.execute { self.finishShutdown() }
    }

    private func finishShutdown() {
        guard let promise = self.shutdownPromise, let upkeep = self.upkeep else { return }
        self.upkeep = nil
        upkeep.cancel()
        self.deadlineTimer?.cancel()
        self.link.stop()
        promise.succeed()
    }

    // MARK: Epoch

    /// Rule E1. Called with every greeting, every reading of the epoch key, every new ledger generation.
    func learn(_ greeting: Greeting) {
        let changed = self.greeting != greeting
        self.greeting = greeting
        self.knownLedgerGeneration = self.shared.epochs.ledgerGeneration
        self.epoch = greeting.epoch(ledgerGeneration: self.knownLedgerGeneration)
        if changed { self.shared.epochs.saw(node: greeting.epoch(ledgerGeneration: 0)) }
        let fence = preparedArgument(self.loopName) + preparedArgument("\(self.generation)")
        self.placePrefix = preparedArgument(self.epoch) + fence
        self.fencePrefix = fence + preparedArgument("0")
        self.raisingPrefix = fence + preparedArgument("1")
    }

    @inline(__always)
    func checkLedgerGeneration() {
        if self.shared.epochs.ledgerGeneration != self.knownLedgerGeneration { self.learn(self.greeting) }
    }

    // MARK: RedisLinkOwner

    func linkIsReady(_ greeting: Greeting) {
        self.learn(greeting)
        self.breaker.reset()
        self.noteBreaker()
        self.shared.counters.sessionsReady.add(1)
        self.reissueAll()
    }

    func linkLost(_ unanswered: [SessionSlot]) {
        self.generation += 1
        self.shared.counters.sessionsReady.add(-1)
        self.shared.counters.connectionsLost.add(1)
        let loads = self.coldLoads
        self.coldLoads.removeAll()
        for load in loads.values { load.waiters.removeAll() }
        // What a slot stood for is in the table; completions may place again, so the table is copied first.
        for hold in Array(self.live.values) { self.connectionLost(hold) }
        self.finishShutdownIfIdle()
    }

    func linkReceived(_ reply: borrowing RedisReply, for slot: SessionSlot) {
        self.shared.counters.commands.add(1)
        switch slot {
        case .place(let hold): self.placeAnswered(hold, reply)
        case .capture(let hold): self.captureAnswered(hold, reply)
        case .release(let hold): self.releaseAnswered(hold, reply)
        case .reassert(let hold): self.reassertAnswered(hold, reply)
        case .touch(let hold): self.touchAnswered(hold, reply)
        case .epochKey: self.epochKeyAnswered(reply)
        case .load(let load): self.loadAnswered(load, reply)
        case .initialize(let load): self.initializeAnswered(load, reply)
        case .ignored: self.noteRefusal(reply.refusal, of: "refresh")
        }
    }

    /// Keeps the gauge of open breakers right.
    func noteBreaker() {
        guard self.breaker.isOpen != self.countedBreakerOpen else { return }
        self.countedBreakerOpen.toggle()
        self.shared.counters.breakersOpen.add(self.countedBreakerOpen ? 1 : -1)
        self.logger.warning("hold store breaker", metadata: ["open": "\(self.countedBreakerOpen)"])
    }

    /// What every error reply asks for, whatever the command.
    func noteRefusal(_ refusal: StoreRefusal?, of command: StaticString) {
        guard let refusal else { return }
        if refusal == .noScript {
            self.link.reloadScripts()
            return
        }
        self.logger.warning(
            "redis refused a command", metadata: ["command": "\(command)", "code": "\(refusal.label)"])
        if refusal.mustReconnect { self.link.reconnect() }
    }
}

/// What the sessions of one process share.
final class SharedHoldState: Sendable {
    let accounts: any AccountReading
    let sink: any SettlementSink
    let counters: RedisHoldCounters
    let epochs: EpochWatch
    let verifier: ShortVerifier

    init(accounts: any AccountReading, sink: any SettlementSink, counters: RedisHoldCounters) {
        self.accounts = accounts
        self.sink = sink
        self.counters = counters
        self.epochs = EpochWatch(counters: counters)
        self.verifier = ShortVerifier(accounts: accounts, counters: counters)
    }
}

import Logging
import Metering
import MoneyPath
import NIOCore

/// The shell of `HoldSessionMachine` on one event loop: its connection, its timers, and the completions that wait.
// SAFETY: confined to `loop`; every entry point asserts it. Sendable only so that callbacks of that loop may
// hold it.
public final class RedisHoldSession: HoldSession, RedisLinkOwner, @unchecked Sendable {
    typealias Machine = HoldSessionMachine

    let loop: any EventLoop
    let number: Int
    let boot: BootID
    let shared: SharedHoldState
    let link: RedisLink
    let logger: Logger
    /// Only tests change anything but through events, on the loop.
    var machine: Machine
    private let settings: RedisHoldSettings
    /// What the commands without a reply were.
    private var unanswered = CircularBuffer<HoldSlot>(initialCapacity: 256)
    /// Who waits for a PLACE.
    private var placing: [HoldID: (PlaceAnswer) -> Void] = [:]
    /// Who waits for an EXTEND.
    private var extending: [HoldID: (ExtendAnswer) -> Void] = [:]
    private var published = Machine.Counts()
    private var isPerforming = false
    private var deadlineTimer: Scheduled<Void>?
    private var upkeep: RepeatedTask?
    var isShuttingDown: Bool { self.shutdownPromise != nil }
    private var shutdownPromise: EventLoopPromise<Void>?
    private var countedBreakerOpen = false
    private var countedAdmitting = false
    /// loop, generation, raise = 0 or 1, as RESP; renewed with the generation.
    private(set) var fencePrefix: [UInt8] = []
    private(set) var raisingPrefix: [UInt8] = []
    /// Arguments of every PLACE: epoch, loop, generation.
    private(set) var placePrefix: [UInt8] = []
    private var preparedFor = (epoch: "", generation: Int64(0))
    /// ttl, owner.
    let leaseArguments: [UInt8]
    let ownerArgument: [UInt8]

    init(
        loop: any EventLoop, number: Int, boot: BootID, settings: RedisHoldSettings, shared: SharedHoldState,
        link: RedisLink, logger: Logger
    ) {
        self.loop = loop
        self.number = number
        self.boot = boot
        self.settings = settings
        self.shared = shared
        self.link = link
        self.logger = logger
        self.machine = Machine(boot: boot, loop: number, settings: settings.session)
        self.ownerArgument = preparedArgument("\(boot)")
        self.leaseArguments =
            preparedArgument("\(settings.lease.nanoseconds / 1_000_000)") + self.ownerArgument
    }

    // MARK: HoldSession

    /// `completion` may be called before this returns (nothing is connected, the breaker is open).
    public func place(_ request: PlaceRequest, completion: @escaping (PlaceAnswer) -> Void) {
        self.loop.assertInEventLoop()
        guard !self.isShuttingDown else { return self.answer(.unavailable(.disconnected), completion) }
        self.machine.saw(ledgerGeneration: self.shared.epochs.ledgerGeneration)
        if let why = self.machine.place(request, now: .now) {
            self.answer(.unavailable(why), completion)
        } else {
            self.placing[request.hold] = completion
        }
        self.perform()
    }

    private func answer(_ answer: PlaceAnswer, _ completion: (PlaceAnswer) -> Void) {
        self.shared.counters.count(answer)
        completion(answer)
    }

    /// `completion` may be called before this returns (the hold is as large already, or nothing can be extended).
    public func extend(
        _ hold: HoldID, to total: Millicredits, completion: @escaping (ExtendAnswer) -> Void
    ) {
        self.loop.assertInEventLoop()
        self.machine.saw(ledgerGeneration: self.shared.epochs.ledgerGeneration)
        guard self.machine.extend(hold, to: total, now: .now) else { return completion(.unknown) }
        self.extending[hold] = completion
        self.perform()
    }

    public func capture(_ settlement: Settlement) {
        self.loop.assertInEventLoop()
        self.extending[settlement.hold] = nil
        self.machine.capture(settlement, now: .now)
        self.perform()
    }

    public func release(_ hold: HoldID, of account: AccountID, isRecorded: Bool) {
        self.loop.assertInEventLoop()
        self.extending[hold] = nil
        self.placing[hold] = nil
        self.machine.release(hold, isRecorded: isRecorded)
        self.perform()
    }

    public func progressed(_ hold: HoldID, charge: Millicredits) {
        self.loop.assertInEventLoop()
        self.machine.progressed(hold, charge: charge)
    }

    // MARK: Performing

    /// Performs what the machine decided, in order. An action may bring about further events (a completion that
    /// places again); theirs follow.
    func perform() {
        guard !self.isPerforming else { return }
        self.isPerforming = true
        while let action = self.machine.nextAction() { self.perform(action) }
        self.isPerforming = false
        self.publish()
        self.armDeadlineTimer()
        self.finishShutdownIfIdle()
    }

    private func perform(_ action: consuming Machine.Action) {
        switch consume action {
        case .send(let command, let slot, let raise): self.send(command, slot, raise: raise)
        case .answer(let hold, let answer):
            if let completion = self.placing.removeValue(forKey: hold) { self.answer(answer, completion) }
        case .extended(let hold, let answer): self.extending.removeValue(forKey: hold)?(answer)
        case .record(let settlement): self.shared.sink.recordUnreserved(settlement)
        case .readAccount(let account, let holds, let purpose): self.read(account, among: holds, purpose)
        case .verifyShort(let hold, let account, let seen): self.verify(hold, of: account, seen)
        case .reloadScripts: self.link.reloadScripts()
        case .reconnect: self.link.reconnect()
        case .refused(let command, let code):
            self.logger.warning(
                "redis refused a command", metadata: ["command": "\(command)", "code": "\(code)"])
        case .misunderstood(let command):
            self.logger.error(
                "a command was fenced or not understood", metadata: ["command": "\(command)"])
        case .sawEpoch(let epoch):
            self.shared.epochs.saw(epoch, session: self.number)
            // The process may admit under it already; this session is only later than the others.
            self.takeAdmittedEpoch()
        case .joined(let epoch): self.shared.epochs.joined(epoch, session: self.number)
        case .sawGeneration(let generation): self.shared.epochs.saw(generation: generation)
        }
    }

    private func read(_ account: AccountID, among holds: [HoldID], _ purpose: AccountReadPurpose) {
        if case .verifyCapture(_, let attempt) = purpose, attempt > 1 {
            guard !self.isShuttingDown else { return }
            self.loop.scheduleTask(in: .milliseconds(50 << Int64(attempt))) {
                self.readNow(account, among: holds, purpose)
            }
            return
        }
        self.readNow(account, among: holds, purpose)
    }

    private func readNow(_ account: AccountID, among holds: [HoldID], _ purpose: AccountReadPurpose) {
        self.shared.accounts.snapshot(of: account, among: holds) { result in
            self.loop.execute {
                self.machine.accountRead(account, purpose, result)
                self.perform()
            }
        }
    }

    private func verify(_ hold: HoldID, of account: AccountID, _ seen: BalanceStamp) {
        self.shared.verifier.verify(account, seen: seen) { outcome in
            let snapshot: AccountSnapshot? = if case .known(let known) = outcome { known } else { nil }
            if self.loop.inEventLoop {
                self.verified(hold, seen, snapshot)
            } else {
                self.loop.execute { self.verified(hold, seen, snapshot) }
            }
        }
    }

    private func verified(_ hold: HoldID, _ seen: BalanceStamp, _ snapshot: AccountSnapshot?) {
        self.machine.verified(hold, seen: seen, snapshot)
        self.perform()
    }

    // MARK: Figures

    private func publish() {
        if self.machine.counts != self.published {
            self.shared.counters.add(self.machine.counts, since: self.published)
            self.published = self.machine.counts
        }
        self.publishAdmission()
        guard self.machine.breaker.isOpen != self.countedBreakerOpen else { return }
        self.countedBreakerOpen.toggle()
        self.shared.counters.breakersOpen.add(self.countedBreakerOpen ? 1 : -1)
        self.logger.warning("hold store breaker", metadata: ["open": "\(self.countedBreakerOpen)"])
    }

    private func publishAdmission() {
        let admits = self.machine.isReady && self.machine.isAdmitting && !self.machine.breaker.isOpen
        guard admits != self.countedAdmitting else { return }
        self.countedAdmitting = admits
        self.shared.counters.sessionsAdmitting.add(admits ? 1 : -1)
    }

    // MARK: Timers

    private func armDeadlineTimer() {
        guard self.deadlineTimer == nil, let next = self.machine.nextDeadline else { return }
        self.deadlineTimer = self.loop.scheduleTask(deadline: .uptimeNanoseconds(UInt64(next.nanoseconds))) {
            self.deadlineTimer = nil
            self.machine.passDeadlines(now: .now)
            self.perform()
        }
    }

    private func keepUp() {
        self.link.checkStall(now: .now())
        self.machine.saw(ledgerGeneration: self.shared.epochs.ledgerGeneration)
        self.takeAdmittedEpoch()
        self.machine.keepUp(now: .now)
        self.perform()
    }

    // MARK: Life

    func start() {
        self.loop.assertInEventLoop()
        self.link.start(owner: self)
        self.upkeep = self.loop.scheduleRepeatedTask(
            initialDelay: self.settings.upkeepEvery, delay: self.settings.upkeepEvery
        ) { _ in self.keepUp() }
    }

    /// The gate opened. What is open is read now, not told, so no order of threads can leave an old epoch behind.
    func gateOpened() {
        self.loop.assertInEventLoop()
        self.takeAdmittedEpoch()
        self.perform()
    }

    private func takeAdmittedEpoch() {
        if let epoch = self.shared.epochs.admittedEpoch { self.machine.open(epoch) }
    }

    /// Another session saw an epoch that may be news here.
    func checkEpoch() {
        self.loop.assertInEventLoop()
        self.machine.checkEpoch()
        self.perform()
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
        guard self.shutdownPromise != nil, self.machine.isIdle else { return }
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

    // MARK: RedisLinkOwner

    func linkIsReady(_ node: NodeIdentity) {
        self.shared.counters.sessionsReady.add(1)
        self.machine.saw(ledgerGeneration: self.shared.epochs.ledgerGeneration)
        self.machine.connected(to: node, now: .now)
        self.perform()
    }

    func linkLost() {
        // What they stood for is in the machine's table.
        self.unanswered.removeAll(keepingCapacity: true)
        self.shared.counters.sessionsReady.add(-1)
        self.shared.counters.connectionsLost.add(1)
        self.machine.lost()
        self.perform()
    }

    func linkReceived(_ reply: borrowing RedisReply) {
        let slot = self.unanswered.removeFirst()
        self.shared.counters.commands.add(1)
        self.machine.replied(slot, HoldReply(reply, of: slot), now: .now)
        self.perform()
    }

    func linkRead(_ node: HoldReply) {
        self.machine.replied(self.unanswered.removeFirst(), node, now: .now)
        self.perform()
    }

    // MARK: For RedisHoldSession+Commands

    /// The command that is sent next.
    func expect(_ slot: HoldSlot) { self.unanswered.append(slot) }

    func prepareFence() {
        let present = (epoch: self.machine.epoch, generation: self.machine.generation)
        guard present != self.preparedFor else { return }
        self.preparedFor = present
        let fence =
            preparedArgument("\(self.boot).\(self.number)") + preparedArgument("\(present.generation)")
        self.placePrefix = preparedArgument(present.epoch) + fence
        self.fencePrefix = fence + preparedArgument("0")
        self.raisingPrefix = fence + preparedArgument("1")
    }
}

extension Moment {
    /// The clock of event loops.
    @inline(__always)
    static var now: Moment { Moment(nanoseconds: Int64(NIODeadline.now().uptimeNanoseconds)) }
}

/// What the sessions of one process share.
final class SharedHoldState: Sendable {
    let accounts: any AccountReading
    let sink: any SettlementSink
    let counters: RedisHoldCounters
    let epochs: EpochWatch
    let verifier: ShortVerifier

    init(boot: BootID, accounts: any AccountReading, sink: any SettlementSink, counters: RedisHoldCounters) {
        self.accounts = accounts
        self.sink = sink
        self.counters = counters
        self.epochs = EpochWatch(boot: boot, counters: counters)
        self.verifier = ShortVerifier(accounts: accounts, counters: counters)
    }
}

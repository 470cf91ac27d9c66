import Metering
import MoneyPath

/// One run of one proxy: the machines of the product, and shells as thin as the real ones.
final class SimProcess {
    unowned let world: World
    unowned let instance: SimInstance
    let boot: BootID
    private(set) var isAlive = true
    private(set) var isPaused = false
    private var deferred: [() -> Void] = []
    private(set) var runningSince: Int64 = 0
    /// Nothing of it reaches the ledger until then.
    var ledgerCutUntil: Int64 = 0
    // For the judge (F1): since when its heartbeats succeed without a gap, the last one that did, and when all the hearts
    // had beaten by then.
    private(set) var observingSince: Int64 = 0
    private(set) var beatHeardAt: Int64 = 0
    private(set) var beatsSeen: [BootID: Int64] = [:]

    var sessions: [SimSession] = []
    var poster: SimLink! = nil
    var posterGeneration: Int64 = 1
    var sweeper: SimLink! = nil
    var gate: EpochGate
    var node = NodeIdentity()
    var verifier = ShortVerification()
    var verifying: [AccountID: [(AccountSnapshot?) -> Void]] = [:]
    var queue = SettlementQueue(limits: .init(batchRowsMax: 40, memoryMax: 24))
    var outbox = PostingOutbox()
    var isSettling = false
    var isPosting = false
    var journal: Journal<SimSegment>
    var isSyncing = false
    var isGateTicking = false
    var isSweeping = false
    var ledgerGeneration: Int64 = 0
    var liveness: PeerLiveness
    var sweep: Sweep
    /// Boots whose journal this one took over, with the holds that went upstream.
    var recovered: [BootID: Set<HoldID>] = [:]
    /// Boots whose outcomes were copied into our journal, up to there.
    var handedOver: [(boot: BootID, through: UInt64)] = []
    /// Every hold with an OPEN, by recovered boot: asked for F8 only.
    var recoveredOpens: [BootID: Set<HoldID>] = [:]
    var exchanges: [HoldID: SimExchange] = [:]
    /// Whose clients wait for the ledger, as the journal had no room.
    var withheld: Set<HoldID> = []
    var recapture = Recapture()
    /// Whom the flags that it knows do not charge.
    var waived: Set<AccountID>

    init(_ instance: SimInstance) {
        let world = instance.world
        self.world = world
        self.instance = instance
        self.boot = world.makeID()
        let guards = world.settings.without
        let sessionGuards = Set(HoldSessionSettings.Guard.allCases).subtracting(guards.session)
        self.gate = EpochGate(boot: self.boot, guards: sessionGuards)
        self.journal = Journal(
            boot: self.boot, limits: .init(unreservedOutcomes: 2, acknowledgements: 8),
            nowMilliseconds: world.nowMilliseconds, steadyMilliseconds: world.steadyMilliseconds)
        self.runningSince = world.time
        self.waived = world.waived
        var limits = PeerLiveness.Limits()
        (limits.grace, limits.gapMax) = (SimSettings.grace, SimSettings.heartbeatGapMax)
        limits.beatMax = SimSettings.heartbeatGapMax
        (limits.waitsForGrace, limits.resetsAfterGap) = (guards.livenessWaits, guards.livenessResets)
        self.liveness = PeerLiveness(limits: limits)
        self.sweep = Sweep(me: self.boot, guards: Set(Sweep.Guard.allCases).subtracting(guards.sweep))
    }

    // MARK: Time

    var now: Moment { Moment(nanoseconds: self.world.time) }

    /// Does it now, or when the process runs again; never if it is dead.
    func run(_ body: @escaping () -> Void) {
        guard self.isAlive else { return }
        if self.isPaused { self.deferred.append(body) } else { body() }
    }

    func after(_ span: Span, _ body: @escaping () -> Void) {
        self.world.after(span) { self.run(body) }
    }

    func every(_ span: Span, _ body: @escaping () -> Void) {
        self.after(span) {
            body()
            self.every(span, body)
        }
    }

    func pause() { self.isPaused = true }

    func resume() {
        guard self.isPaused else { return }
        self.isPaused = false
        self.runningSince = self.world.time
        let waiting = self.deferred
        self.deferred = []
        for body in waiting { self.run(body) }
    }

    // MARK: Life

    func start() {
        self.prepareSpare()
        for number in 0..<2 {
            self.gate.add(session: number)
            self.sessions.append(SimSession(number: number, self))
        }
        self.poster = SimLink(self.world, self) { [unowned self] in
            self.posterReady($0)
        } lost: { [unowned self] in
            self.posterLost()
        }
        self.sweeper = SimLink(self.world, self) { _ in
        } lost: {
        }
        for session in self.sessions { session.link.connect() }
        self.poster.connect()
        self.sweeper.connect()
        self.beat()
        self.every(SimSettings.heartbeatEvery) { self.beat() }
        self.every(SimSettings.keepUpEvery) { self.keepUp() }
        self.after(.milliseconds(100)) { self.recoverDirectories() }
        self.every(SimSettings.sweepEvery) { self.beginSweep() }
        self.nextClient()
    }

    /// The world is over.
    func dismantle() {
        self.sessions = []
        self.poster = nil
        self.sweeper = nil
        self.exchanges = [:]
        self.verifying = [:]
        self.deferred = []
    }

    /// kill -9.
    func kill() {
        guard self.isAlive else { return }
        self.isAlive = false
        for session in self.sessions { session.link.stop() }
        self.poster.stop()
        self.sweeper.stop()
        for exchange in self.exchanges.values { self.world.truth.died(exchange.hold, boot: self.boot) }
        for session in self.sessions {
            self.world.truth.diedWith(session.machine.live.keys)
            self.world.truth.diedWith(session.machine.verifying.keys)
        }
        self.exchanges = [:]
    }

    private func keepUp() {
        for session in self.sessions { session.keepUp() }
        self.pollNode()
        if self.poster.isUp { self.perform(self.recapture.tick(self.unposted, now: self.now)) }
        self.perform(self.gate.tick(now: self.now))
        let now = self.world.nowMilliseconds
        self.journal.tick(nowMilliseconds: now, steadyMilliseconds: self.world.steadyMilliseconds)
        self.journal.noteDurable()
        self.prepareSpare()
    }

    /// Nothing is under way here.
    var isAtRest: Bool {
        self.exchanges.isEmpty && self.queue.backlog == 0 && self.outbox.untold.accounts == 0
            && !self.isSettling
            && !self.isPosting && self.sessions.allSatisfy { $0.machine.live.isEmpty }
    }

    // MARK: Heart

    private func beat() {
        self.world.ledger.ask(self, { [boot] in $0.beat(boot) }) { result in
            guard case .success(let answer) = result else { return }
            let gap = self.world.time - self.beatHeardAt
            if gap > SimSettings.heartbeatGapMax.nanoseconds { self.observingSince = self.world.time }
            (self.beatHeardAt, self.beatsSeen) = (self.world.time, answer.at)
            self.liveness.heard(answer.counters, now: self.now)
            self.gate.live(self.liveness.living(now: self.now).subtracting(self.recovered.keys))
            self.saw(ledgerGeneration: answer.generation)
        }
    }

    /// Rule P7: everything the journals of this host retain is posted again. What was posted to which generation is a
    /// fact about the host's disk, so a process that starts knows it, and one that dies half-way starts over.
    func saw(ledgerGeneration generation: Int64) {
        guard generation > self.ledgerGeneration else { return }
        self.ledgerGeneration = generation
        for session in self.sessions { session.saw(ledgerGeneration: generation) }
        if self.instance.disk.generation == 0 { self.instance.disk.generation = generation }
        guard self.instance.disk.generation < generation, self.world.has(.replayGeneration) else { return }
        self.replayJournals(for: generation)
    }
}

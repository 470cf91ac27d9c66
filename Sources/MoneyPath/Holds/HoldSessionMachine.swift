import Metering

/// The hold store as one event loop sees it: one connection, one table of live holds (MONEY_PATH K1–K6, E1–E3).
///
/// The table is the exchange's side of the truth. The store may lose anything; what it should know is issued again
/// from the present state, never by repeating old commands. A value: every event appends to `actions`, which the
/// shell performs in order; it may report new events while it does.
public struct HoldSessionMachine {
    public enum Action {
        /// The reply comes back through `replied` with the same slot, unless the connection is lost first.
        case send(HoldCommand, HoldSlot, raise: Bool)
        /// Answers `place` of this hold, once.
        case answer(HoldID, PlaceAnswer)
        /// Answers `extend`, once, unless the hold ended first.
        case extended(HoldID, ExtendAnswer)
        /// An outcome that no exchange records; hand it to the settler.
        indirect case record(Settlement)
        /// Answer through `accountRead`.
        case readAccount(AccountID, among: [HoldID], AccountReadPurpose)
        /// Answer through `verified`.
        case verifyShort(HoldID, of: AccountID, seen: BalanceStamp)
        /// The store forgot its scripts: load them in front of whatever is sent next.
        case reloadScripts
        /// Give this connection up.
        case reconnect
        /// For the log.
        case refused(command: StaticString, code: String)
        case misunderstood(command: StaticString)
        /// The node is under this epoch; `joined` follows when what it may have lost is back.
        case sawEpoch(String)
        case joined(String)
        /// A reading of the ledger carried this generation.
        case sawGeneration(Int64)
    }

    public typealias Counts = HoldSessionCounts

    let boot: BootID
    public var settings: HoldSessionSettings
    public private(set) var live: [HoldID: LiveHold] = [:]
    public internal(set) var counts = Counts()
    public internal(set) var breaker: CircuitBreaker
    private var actions: [Action] = []
    private var actionsDone = 0

    /// A connection is up; commands may be sent.
    public internal(set) var isReady = false
    /// Raised with every lost connection; the fence of rule R2.
    public internal(set) var generation: Int64 = 1
    public internal(set) var node = NodeIdentity() {
        didSet { self.nodeEpoch = self.node.nodeEpoch }
    }
    /// Of `node`: asked several times for each exchange.
    private(set) var nodeEpoch = NodeIdentity().nodeEpoch
    public internal(set) var ledgerGeneration: Int64 = 0
    /// E of rule E1 as this session knows it.
    public internal(set) var epoch = ""
    /// The epoch under which the process admits (E2); set by the shell from `EpochGate`.
    public internal(set) var openEpoch: String?
    /// Holds whose place in the store has to be acknowledged before this session has joined its epoch.
    var rejoining: Set<HoldID> = []
    var hasJoined = false
    /// Captures that are being compared with the ledger (K6): u: may be there a moment longer than it should.
    public internal(set) var verifying: [HoldID: AccountID] = [:]

    var coldLoads: [AccountID: ColdLoad] = [:]
    var loadsBegun: Int64 = 0
    private let loopName: String
    /// Deadlines of PLACEs, in the order in which they were set.
    private var deadlines: [(hold: HoldID, at: Moment)] = []
    private var deadlinesDone = 0

    /// - Parameter loop: unique within the boot.
    public init(boot: BootID, loop: Int, settings: HoldSessionSettings = HoldSessionSettings()) {
        self.boot = boot
        self.settings = settings
        self.loopName = "\(boot).\(loop)"
        self.breaker = CircuitBreaker(.init(failuresMax: settings.breakerFailuresMax))
    }

    // MARK: Actions

    mutating func act(_ action: consuming Action) { self.actions.append(action) }

    mutating func send(_ command: HoldCommand, _ slot: HoldSlot, raise: Bool = false) {
        precondition(self.isReady, "each event checks that there is a connection")
        self.act(.send(command, slot, raise: raise && self.has(.raiseFence)))
    }

    /// The next action to perform; nil when nothing is left.
    public mutating func nextAction() -> Action? {
        guard self.actionsDone < self.actions.count else {
            if !self.actions.isEmpty {
                self.actions.removeAll(keepingCapacity: self.actions.count <= Self.keptMax)
            }
            self.actionsDone = 0
            return nil
        }
        // Moved out, not copied: a command and what it says are not small.
        var action = Action.reconnect
        swap(&action, &self.actions[self.actionsDone])
        self.actionsDone += 1
        return action
    }

    /// The fence of a command that is sent now.
    public func fence(raise: Bool) -> HoldFence {
        HoldFence(loop: self.loopName, generation: self.generation, raise: raise)
    }

    @inline(__always)
    func has(_ guarded: HoldSessionSettings.Guard) -> Bool { self.settings.guards.contains(guarded) }

    // MARK: What exchanges ask for

    /// Why nothing was placed; nil: `answer` follows.
    public mutating func place(_ request: PlaceRequest, now: Moment) -> HoldsUnavailable? {
        guard self.isReady else { return .disconnected }
        guard self.isAdmitting else { return .recovering }
        guard self.breaker.admit(now: now) != .refuse else { return .breakerOpen }
        // A hold id is made for one exchange; a second PLACE of it is a mistake of ours that must not harm the first.
        guard !self.isLive(request.hold) else { return .storeRefused }
        let deadline = now + self.settings.placeDeadline
        var hold = LiveHold(request: request, deadline: deadline, isAwaited: true)
        hold.placedAt = now
        self.live[request.hold] = hold
        self.deadlines.append((request.hold, deadline))
        self.sendPlace(request.hold)
        return nil
    }

    public mutating func capture(_ settlement: Settlement, now: Moment) {
        if let captured = self.update(settlement.hold, { $0.track.capture() }) {
            guard captured else { return }
            self.counts.open -= 1
            self.update(settlement.hold) { hold in
                hold.settlement = .some(settlement)
                hold.extending = nil
            }
        } else {
            self.live[settlement.hold] = Self.adopted(settlement)
        }
        self.sendEnd(settlement.hold)
    }

    /// - Parameter isRecorded: the VOID of this hold is with the settler.
    public mutating func release(_ hold: HoldID, isRecorded: Bool) {
        switch self.update(hold, { $0.track.release(isRecorded: isRecorded) }) {
        case .send?:
            self.counts.open -= 1
            self.update(hold) { $0.extending = nil }
            self.sendEnd(hold)
        case .waitForGrant?: self.update(hold) { $0.isAwaited = false }
        case .forget?: self.forget(hold)
        case .ignore?, nil: break
        }
    }

    /// What the exchange has consumed so far; goes out with the next TOUCH.
    public mutating func progressed(_ hold: HoldID, charge: Millicredits) {
        self.update(hold) { $0.progress = charge }
    }

    /// Everyone has put back what this node may have lost (E2).
    public var isAdmitting: Bool { self.openEpoch == self.nodeEpoch }

    /// Nothing but open holds is left: everything that ended was acknowledged.
    public var isIdle: Bool { !self.live.values.contains { $0.track.phase != .held } }

    /// Rule F7: whether an entry of the store belongs to something this session still knows.
    public func knows(_ hold: HoldID) -> Bool {
        self.isLive(hold) || self.verifying[hold] != nil
    }

    /// A capture whose hold this session never placed (taken over from another one).
    private static func adopted(_ settlement: Settlement) -> LiveHold {
        let request = PlaceRequest(
            account: settlement.account, hold: settlement.hold, want: .zero, least: .zero,
            inputEstimate: .zero, priceID: settlement.priceID, endpoint: settlement.endpoint)
        var hold = LiveHold(
            request: request, track: .adopted(settlement.charge.amount), deadline: .distantPast,
            isAwaited: false)
        hold.settlement = .some(settlement)
        return hold
    }

    // MARK: The table

    /// nil: no such hold.
    @discardableResult
    @inline(__always)
    mutating func update<Value>(_ hold: HoldID, _ body: (inout LiveHold) -> Value) -> Value? {
        guard let index = self.live.index(forKey: hold) else { return nil }
        return body(&self.live.values[index])
    }

    /// Looks at a hold in its place, which only what may change it can do without a copy; nil: no such hold.
    @inline(__always)
    mutating func look<Value>(at hold: HoldID, _ body: (borrowing LiveHold) -> Value) -> Value? {
        self.update(hold) { body($0) }
    }

    func isLive(_ hold: HoldID) -> Bool { self.live.index(forKey: hold) != nil }

    mutating func phase(of hold: HoldID) -> HoldTrack.Phase? { self.look(at: hold) { $0.track.phase } }

    var holdsInOrder: [HoldID] { self.live.keys.sorted() }

    /// Answers whoever waits; once.
    mutating func answer(_ hold: HoldID, _ answer: PlaceAnswer) {
        let isAwaited = self.update(hold) { hold in
            defer { hold.isAwaited = false }
            return hold.isAwaited
        }
        if isAwaited == true { self.act(.answer(hold, answer)) }
    }

    /// Answers and drops a hold of which the store has nothing.
    mutating func end(_ hold: HoldID, _ answer: PlaceAnswer) {
        self.answer(hold, answer)
        self.forget(hold)
    }

    mutating func forget(_ hold: HoldID) {
        self.live[hold] = nil
        // A place in the table is half a kilobyte: those of a crowd are not kept for ever.
        if self.live.isEmpty, self.live.capacity > Self.keptMax { self.live = [:] }
        self.rejoined(hold)
    }

    /// What a table keeps room for when nothing is in it.
    private static let keptMax = 1024

    // MARK: Deadlines

    /// When `tick` has to be called at the latest, for the deadlines of PLACE.
    public var nextDeadline: Moment? {
        self.deadlinesDone < self.deadlines.count ? self.deadlines[self.deadlinesDone].at : nil
    }

    /// All deadlines are set with the same distance, so the first is the next to pass. Those that went on to the
    /// ledger have a later one; `keepUp` looks at them.
    public mutating func passDeadlines(now: Moment) {
        while self.deadlinesDone < self.deadlines.count {
            let (id, at) = self.deadlines[self.deadlinesDone]
            let isWaiting = self.look(at: id) { $0.track.phase == .placing && !$0.isWithLedger } ?? false
            guard at <= now || !isWaiting else { break }
            self.deadlinesDone += 1
            if isWaiting { self.deadlinePassed(id, now: now) }
        }
        if self.deadlinesDone * 2 >= self.deadlines.count {
            self.deadlines.removeFirst(self.deadlinesDone)
            self.deadlinesDone = 0
        }
    }

    mutating func deadlinePassed(_ id: HoldID, now: Moment) {
        guard let hold = self.live[id] else { return }
        let storeIsSilent = hold.track.placeIsOut
        let answer = hold.pendingRefusal ?? .unavailable(storeIsSilent ? .deadline : .ledgerUnreachable)
        guard let action = self.update(id, { $0.track.gaveUp() }), action != .ignore else { return }
        if storeIsSilent { self.breaker.failed(now: now) }
        self.answer(id, answer)
        if action == .answerAndForget { self.forget(id) }
    }

    // MARK: Replies

    public mutating func replied(_ slot: HoldSlot, _ reply: HoldReply, now: Moment) {
        switch slot {
        case .place(let hold): self.placeAnswered(hold, reply, now: now)
        case .capture(let hold): self.captureAnswered(hold, reply, now: now)
        case .release(let hold): self.releaseAnswered(hold, reply, now: now)
        case .reassert(let hold): self.reassertAnswered(hold, reply, now: now)
        case .touch(let hold): self.touchAnswered(hold, reply, now: now)
        case .extend(let hold, let total): self.extendAnswered(hold, total, reply, now: now)
        case .node(let purpose): self.nodeAnswered(purpose, reply, now: now)
        case .verified(let hold): self.verifying[hold] = nil
        case .load(let account, let number): self.loadAnswered(account, number, reply)
        case .initialize(let account, let number): self.initializeAnswered(account, number, reply)
        case .ignored: self.note(reply.refusal, of: "refresh")
        }
    }

    /// What every error reply asks for, whatever the command.
    mutating func note(_ refusal: StoreRefusal?, of command: StaticString) {
        guard let refusal else { return }
        if refusal == .noScript { return self.act(.reloadScripts) }
        self.act(.refused(command: command, code: refusal.label))
        if refusal.mustReconnect { self.act(.reconnect) }
    }
}

/// What a session counts; monotone but for `open`.
public struct HoldSessionCounts: Sendable, Hashable {
    public internal(set) var open = 0
    public internal(set) var lateGrantsReleased = 0
    public internal(set) var unknownPlacesVoided = 0
    public internal(set) var reasserted = 0
    public internal(set) var coldLoads = 0
    public internal(set) var touches = 0
    public internal(set) var takenOver = 0

    public init() {}
}

/// What a reading of the ledger is for.
public enum AccountReadPurpose: Sendable, Hashable {
    /// Rule E3.
    case load(number: Int64)
    /// Rule K6, from behind.
    case verifyCapture(HoldID, attempt: Int)
}

/// One cold load of one account, shared by all that wait for it.
struct ColdLoad {
    let number: Int64
    var waiters: [HoldID] = []
    var rounds = 0
    /// Empty until LOAD is answered.
    var incarnation = ""
    var listed: [HoldID] = []
    /// The epoch that INIT stamps.
    var epoch = ""
}

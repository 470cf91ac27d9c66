import Metering
import NIOCore
import NIOPosix
import Synchronization

@testable import Proxy

/// Two account keys and a service key in memory. Cold: nothing is in the snapshot, every look-up is answered
/// by another thread, as the database's would be; when `isHeld`, only once the test says so.
final class FakeDirectory: AccountDirectory {
    static let key = "tg_ada_0123456789abcdef0123456789abcdef"
    static let suspendedKey = "tg_eve_0123456789abcdef0123456789abcdef"
    static let serviceKey = "tg_svc_0123456789abcdef0123456789abcdef"
    static let hasher = KeyHasher(peppers: [Array(repeating: 7, count: 32)])

    struct State: Sendable {
        var isCold = false
        var isHeld = false
        var held: [@Sendable () -> Void] = []
        var lookups = 0
        /// Keys that were asked for on a loop, in order.
        var keysAsked: [Int64] = []
    }

    let watched = Watched(State())
    private let keys: [KeyDigest: KeyRecord]

    init() {
        func digest(_ key: String) -> KeyDigest {
            Array(key.utf8).withUnsafeBytes { Self.hasher.digest($0) }
        }
        self.keys = [
            digest(Self.key): KeyRecord(keyID: 1, holder: .account(1), label: "ada"),
            digest(Self.suspendedKey): KeyRecord(keyID: 2, holder: .account(2), label: "eve"),
            digest(Self.serviceKey): KeyRecord(keyID: 3, holder: .service, label: "shop"),
        ]
    }

    private static let users = ["ada": AccountID(1), "eve": AccountID(2)]

    private static func record(_ userID: String) -> AccountRecord {
        AccountRecord(
            account: self.users[userID] ?? AccountID(9), userID: userID, suspended: userID == "eve")
    }

    private static func record(_ account: AccountID) -> AccountRecord? {
        self.users.first { $0.value == account }.map { self.record($0.key) }
    }

    private var isCold: Bool { self.watched.state.isCold }

    func cachedKey(_ digest: KeyDigest) -> KeyRecord? {
        let key = self.keys[digest]
        if let key { self.watched.update { $0.keysAsked.append(key.keyID) } }
        return self.isCold ? nil : key
    }
    func cachedAccount(_ account: AccountID) -> AccountRecord? {
        self.isCold ? nil : Self.record(account)
    }
    func cachedAccount(userID: String) -> AccountRecord? { self.isCold ? nil : Self.record(userID) }

    func resolveKey(
        _ digest: KeyDigest, reply: @escaping @Sendable (Result<KeyRecord?, DirectoryFailure>) -> Void
    ) {
        let key = self.keys[digest]
        self.answer { reply(.success(key)) }
    }

    func resolveAccount(
        _ account: AccountID, reply: @escaping @Sendable (Result<AccountRecord?, DirectoryFailure>) -> Void
    ) { self.answer { reply(.success(Self.record(account))) } }

    func findAccount(
        userID: String, reply: @escaping @Sendable (Result<AccountRecord?, DirectoryFailure>) -> Void
    ) { self.answer { reply(.success(Self.record(userID))) } }

    func findOrCreateAccount(
        userID: String, reply: @escaping @Sendable (Result<AccountRecord, DirectoryFailure>) -> Void
    ) { self.answer { reply(.success(Self.record(userID))) } }

    private func answer(_ reply: @escaping @Sendable () -> Void) {
        let isHeld = self.watched.update { state in
            state.lookups += 1
            if state.isHeld { state.held.append(reply) }
            return state.isHeld
        }
        if !isHeld { MultiThreadedEventLoopGroup.singleton.any().execute(reply) }
    }

    /// Answers what is held, and from now on everything at once.
    func answerHeld() {
        let held = self.watched.update { state in
            defer { state.held = [] }
            state.isHeld = false
            return state.held
        }
        for reply in held { reply() }
    }
}

/// One model, at 2 millicredits per input token and 8 per output token.
struct FakePrices: PriceSource {
    let current: PriceTable

    static let inputRate: Int64 = 2
    static let outputRate: Int64 = 8

    init(onDisconnect: DisconnectPolicy? = nil, model: String = "gpt-test") {
        func rates(_ factor: Int128) -> TokenRates {
            let unit = AttoUSD.perMillicredit * factor
            return TokenRates(input: unit, cachedInput: unit, cacheWrite: unit, output: 4 * unit)
        }
        let tier = TierPrice(cost: rates(1), price: rates(2))
        self.current = PriceTable(
            version: "test@1", mode: .exact,
            rows: [(model, HoldPolicy.full), ("gpt-rolling", .rolling)].map { model, holds in
                ModelPrice(
                    priceID: "test@1/\(model)", model: model, endpoints: [.chat], context: 128_000,
                    outputMax: 1000, tiers: [.default: tier], longContext: nil, onDisconnect: onDisconnect,
                    holds: holds)
            } + MediaPrices.rows + TextPrices.rows)
    }
}

/// What may be opened in the journal.
private enum EncodedKind {
    static func opens(_ worst: Settlement) -> Bool {
        worst.authority == .recovery
            && (worst.kind == .orphan || worst.kind == .waived && worst.charge.amount == .zero)
    }
}

/// Records what is settled, and whether each reservation came to one end.
final class RecordingSettlements: SettlementSink {
    struct State: Sendable {
        var reserved = 0
        var givenBack = 0
        var isFull = false
        var settlements: [Settlement] = []
        var violations: [String] = []
        /// A disk broke: what is opened finds no room.
        var isBroken = false
        /// What would be settled if the process died, by hold.
        var opened: [HoldID: Settlement] = [:]
        var progress: [(told: ExchangeProgress, at: ContinuousClock.Instant)] = []
        /// Called on the loop before an exchange is opened, and before an outcome is recorded.
        var onOpened: (@Sendable () -> Void)?
        var onRecord: (@Sendable () -> Void)?
        /// As with JOURNAL_SYNC=strict: each outcome is safe when the test says so.
        var isStrict = false
        var unsafe: [@Sendable () -> Void] = []

        var openReservations: Int { self.reserved - self.givenBack - self.settlements.count }
    }

    let watched = Watched(State())

    func reserve() -> Bool {
        self.watched.update { state in
            if !state.isFull { state.reserved += 1 }
            return !state.isFull
        }
    }

    func giveBackReservation() {
        self.watched.update { state in
            state.givenBack += 1
            if state.openReservations < 0 { state.violations.append("a reservation was given back twice") }
        }
    }

    var isStrict: Bool { self.watched.state.isStrict }

    func opened(_ worst: Settlement) -> Bool {
        self.watched.state.onOpened?()
        return self.watched.update { state in
            if state.opened[worst.hold] != nil { state.violations.append("an exchange was opened twice") }
            if !EncodedKind.opens(worst) {
                state.violations.append("what is opened is an orphan, or waived, of authority 1")
            }
            guard !state.isBroken else { return false }
            state.opened[worst.hold] = worst
            return true
        }
    }

    func progressed(_ progress: ExchangeProgress) {
        self.watched.update { state in
            if state.opened[progress.hold] == nil { state.violations.append("progress without an opening") }
            if state.settlements.contains(where: { $0.hold == progress.hold }) {
                state.violations.append("progress behind the outcome")
            }
            // Only a request that is sent again begins anew: nothing was sent, then all of it.
            let isAnew = progress.outputTokens == 0
            if let last = state.progress.last(where: { $0.told.hold == progress.hold })?.told, !isAnew,
                progress.outputTokens <= last.outputTokens || progress.charge.amount < last.charge.amount
            {
                state.violations.append("progress goes back")
            }
            state.progress.append((progress, .now))
        }
    }

    func unposted() -> [Settlement] { [] }

    /// Strict: what waits is safe now.
    func becameSafe() {
        let waiting = self.watched.update { state in
            defer { state.unsafe = [] }
            return state.unsafe
        }
        for completion in waiting { completion() }
    }

    func record(_ settlement: Settlement, whenSafe completion: @escaping @Sendable () -> Void) -> Bool {
        self.watched.state.onRecord?()
        return self.watched.update { state in
            if state.isStrict { state.unsafe.append(completion) }
            if settlement.charge.amount > .zero, state.opened[settlement.hold] == nil {
                state.violations.append("charged for an exchange that was never opened")
            }
            if state.settlements.contains(where: { $0.hold == settlement.hold }) {
                state.violations.append("hold \(settlement.hold) was settled twice")
            }
            state.settlements.append(settlement)
            if state.openReservations < 0 { state.violations.append("recorded without a reservation") }
            return state.isStrict
        }
    }

    func recordUnreserved(_ settlement: Settlement) {
        self.watched.update { $0.violations.append("the data plane always reserves") }
    }
}

/// What Redis is to the real sessions: one balance per account, and the holds on it. `isClosed`: PLACE waits
/// until the test opens the gate, as behind a slow store.
final class FakeHoldStore: Sendable {
    struct State: Sendable {
        var balance = Millicredits(1_000_000_000)
        var open: [HoldID: Millicredits] = [:]
        var captured: [HoldID: Millicredits] = [:]
        var released: Set<HoldID> = []
        /// What a reaper would charge, in the order in which it was told.
        var progress: [HoldID: [Millicredits]] = [:]
        var placed = 0
        var extended = 0
        /// Every EXTEND gets this answer.
        var extendsWith: ExtendAnswer?
        var isClosed = false
        var waiting = 0
        /// Holds that take nothing of the balance.
        var waived: Set<HoldID> = []
        /// Every PLACE gets this answer.
        var refusesWith: PlaceAnswer?
        /// Said with every grant.
        var notes: GrantNotes = .none
        /// What PLACEs asked for, in order.
        var limits: [PlaceLimits] = []
        var violations: [String] = []

        var held: Int64 { self.open.reduce(0) { self.waived.contains($1.key) ? $0 : $0 + $1.value.value } }
    }

    let watched = Watched(State())
    private let sessions = Mutex<[FakeHoldSession]>([])

    func makeSession(on eventLoop: any EventLoop) -> any HoldSession {
        let session = FakeHoldSession(self, eventLoop)
        self.sessions.withLock { $0.append(session) }
        return session
    }

    /// Answers what waits, on its own loop, and from now on everything at once.
    func openGate() async throws {
        self.watched.update { $0.isClosed = false }
        for session in self.sessions.withLock({ $0 }) {
            try await session.eventLoop.submit { session.answerWaiting() }.get()
        }
    }

    /// PLACE: the whole want, or half of what is there if that is enough, or nothing.
    fileprivate func place(_ request: PlaceRequest) -> PlaceAnswer {
        self.watched.update { state in
            state.placed += 1
            state.limits.append(request.limits)
            if let answer = state.refusesWith { return answer }
            if request.isWaived {
                state.waived.insert(request.hold)
                state.open[request.hold] = request.want
                return .granted(amount: request.want, balance: state.balance, notes: state.notes)
            }
            let available = state.balance.value - state.held
            let half = max(request.least.value, available / 2)
            guard
                let amount = request.want.value <= available
                    ? request.want.value : half <= available ? half : nil
            else { return .short(available: Millicredits(available)) }
            if state.open.updateValue(Millicredits(amount), forKey: request.hold) != nil {
                state.violations.append("a hold was placed twice")
            }
            return .granted(amount: Millicredits(amount), balance: state.balance, notes: state.notes)
        }
    }

    /// EXTEND: all of it or nothing.
    fileprivate func extend(_ hold: HoldID, to total: Millicredits) -> ExtendAnswer? {
        self.watched.update { state in
            // Nothing is answered behind the end of a hold.
            guard let amount = state.open[hold] else { return nil }
            if let answer = state.extendsWith { return answer }
            let available = state.balance.value - state.held
            guard total.value - amount.value <= available else {
                return .short(available: Millicredits(max(0, available)))
            }
            state.extended += 1
            state.open[hold] = max(amount, total)
            return .granted(total: max(amount, total))
        }
    }

    fileprivate func capture(_ settlement: Settlement) {
        self.watched.update { state in
            if state.open.removeValue(forKey: settlement.hold) == nil {
                state.violations.append("captured without a hold")
            }
            state.captured[settlement.hold] = settlement.charge.amount
            state.balance = state.balance.subtracting(settlement.charge.amount) ?? .zero
        }
    }

    fileprivate func release(_ hold: HoldID) {
        self.watched.update { state in
            if state.open.removeValue(forKey: hold) == nil {
                state.violations.append("released without a hold")
            }
            state.released.insert(hold)
        }
    }

    fileprivate func violated(_ what: String) { self.watched.update { $0.violations.append(what) } }
}

// SAFETY: `waiting` is touched on `eventLoop` only, and each call says so when it is not.
private final class FakeHoldSession: HoldSession, @unchecked Sendable {
    let eventLoop: any EventLoop
    private let store: FakeHoldStore
    private var waiting: [() -> Void] = []

    init(_ store: FakeHoldStore, _ eventLoop: any EventLoop) {
        self.store = store
        self.eventLoop = eventLoop
    }

    private func checkLoop() {
        if !self.eventLoop.inEventLoop { self.store.violated("a session was used away from its loop") }
    }

    func place(_ request: PlaceRequest, completion: @escaping (PlaceAnswer) -> Void) {
        self.whenOpen { [store] in completion(store.place(request)) }
    }

    private func whenOpen(_ answer: @escaping () -> Void) {
        self.checkLoop()
        let isClosed = self.store.watched.update { state in
            if state.isClosed { state.waiting += 1 }
            return state.isClosed
        }
        guard isClosed else { return answer() }
        self.waiting.append(answer)
    }

    func answerWaiting() {
        let waiting = self.waiting
        self.waiting = []
        let count = waiting.count
        self.store.watched.update { $0.waiting -= count }
        for answer in waiting { answer() }
    }

    func extend(_ hold: HoldID, to total: Millicredits, completion: @escaping (ExtendAnswer) -> Void) {
        self.whenOpen { [store] in
            if let answer = store.extend(hold, to: total) { completion(answer) }
        }
    }

    func capture(_ settlement: Settlement) {
        self.checkLoop()
        self.store.capture(settlement)
    }

    func progressed(_ hold: HoldID, charge: Millicredits) {
        self.checkLoop()
        self.store.watched.update { $0.progress[hold, default: []].append(charge) }
    }

    func release(_ hold: HoldID, of account: AccountID, isRecorded: Bool) {
        self.checkLoop()
        self.store.release(hold)
    }
}

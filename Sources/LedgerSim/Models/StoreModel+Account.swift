import Metering
import MoneyPath

/// The hash of one account, `a:{<account id>}`, typed. Redis' names of the fields stand in the comments
/// (MONEY_PATH R1).
public struct AccountHash: Sendable, Hashable {
    /// `i`
    public var incarnation: String?
    /// `e`
    public var epoch: String?
    /// `lg`, `s`, `p`: always written together.
    public var ledger: LedgerReading?
    /// `gs`, `f`, `blk`: always written together.
    public var gate: GateReading?
    /// `H` and `U`, counted as the scripts count them: a wrong script shows a wrong sum.
    public var held: Int64?
    public var captured: Int64?
    /// `W`: the part of `H` that is waived.
    public var waived: Int64?
    /// `t`: second of the last PLACE that was granted, or INIT.
    public var usedSecond: Int64?
    /// `h:`
    public var holds: [HoldID: HoldEntry] = [:]
    /// `u:`: what was captured and is not posted yet.
    public var captures: [HoldID: Settlement] = [:]
    /// `g:`
    public var fences: [String: FenceEntry] = [:]
    /// `mi`, `M`
    public var hour: SpendWindow?
    /// `di`, `D`
    public var day: SpendWindow?
    /// `m0` … `m60`
    public var minutes: [Int64: Int64] = [:]
    /// `l:…`: by the name of the field
    public var buckets: [String: Bucket] = [:]
    /// `lf`: milliseconds since 1970 on the node's clock
    public var forgotAt: Int64?
    /// `c`, and `c:` by the number of the key: counted as the scripts count, like `held`; none is 0.
    public var streams = StreamCounts()

    public struct LedgerReading: Sendable, Hashable {
        public var generation: Int64
        public var version: Int64
        public var balance: Int64

        init(_ balance: LedgerBalance) {
            (self.generation, self.version) = (balance.generation, balance.version)
            self.balance = balance.balance.value
        }
    }

    public struct GateReading: Sendable, Hashable {
        /// nil: of an undone history; whatever is told next counts.
        public var version: Int64?
        public var floor: Int64
        public var blocked: Bool

        init(_ gate: AccountGate) {
            (self.version, self.floor, self.blocked) = (gate.version, gate.floor.value, gate.blocked)
        }
    }

    public struct FenceEntry: Sendable, Hashable {
        public var generation: Int64
        public var raisedSecond: Int64
    }

    public struct SpendWindow: Sendable, Hashable {
        /// The minute or day, since 1970, that the sum has reached.
        public var reached: Int64
        public var spent: Int64
    }

    public init() {}

    var isEmpty: Bool {
        self.held == nil && self.incarnation == nil && self.holds.isEmpty && self.captures.isEmpty
            && self.captured == nil && self.waived == nil && self.fences.isEmpty && self.ledger == nil
            && self.gate == nil
            && self.epoch == nil && self.usedSecond == nil && self.hour == nil && self.day == nil
            && self.minutes.isEmpty && self.buckets.isEmpty && self.forgotAt == nil && self.streams.areNone
    }

    /// p − H + W − U − f, as PLACE sees it. No more is waived than is held: instances of a release that knows no W end
    /// holds without it.
    public var available: Int64 {
        (self.ledger?.balance ?? 0) - (self.held ?? 0) + min(self.waived ?? 0, self.held ?? 0)
            - (self.captured ?? 0)
            - (self.gate?.floor ?? 0)
    }

    // MARK: What the scripts have in common

    func isFenced(_ call: StoreCall) -> Bool {
        guard !self.fences.isEmpty, let fence = self.fences[call.fence.loop] else { return false }
        return call.fence.generation < fence.generation && call.has(.fence)
    }

    mutating func raiseFence(_ raise: Bool, _ call: StoreCall) {
        guard raise, call.has(.fenceIsRaised) else { return }
        self.fences[call.fence.loop] = FenceEntry(
            generation: call.fence.generation, raisedSecond: call.second)
    }

    /// Zero writes nothing, not even a first zero.
    static func add(_ amount: Int64, to sum: inout Int64?) {
        if amount != 0 { sum = (sum ?? 0) + amount }
    }

    /// A hold comes into the sums.
    mutating func count(_ hold: HoldEntry, _ guarded: StoreGuard, _ call: StoreCall) {
        Self.add(hold.amount.value, to: &self.held)
        if hold.isWaived, call.has(guarded) { Self.add(hold.amount.value, to: &self.waived) }
    }

    /// A hold leaves them.
    mutating func uncount(_ hold: HoldEntry, _ call: StoreCall) throws(ScriptAborted) {
        try Self.subtract(hold.amount.value, from: &self.held, call)
        guard hold.isWaived, call.has(.waivedIsUncounted) else { return }
        try Self.subtract(hold.amount.value, from: &self.waived, call)
    }

    static func subtract(
        _ amount: Int64, from sum: inout Int64?, _ call: StoreCall
    ) throws(ScriptAborted) {
        guard amount != 0 else {
            guard call.has(.zeroAmounts) else { throw ScriptAborted() }
            return
        }
        sum = (sum ?? 0) - amount
    }

    func isNewer(_ reading: LedgerBalance, _ call: StoreCall) -> Bool {
        guard let known = self.ledger, call.has(.versionCompare) else { return true }
        return (reading.generation, reading.version) > (known.generation, known.version)
    }
}

/// The value of `h:<hold>`.
public struct HoldEntry: Sendable, Hashable {
    public var amount: Millicredits
    /// Milliseconds since 1970 on the node's clock.
    public var deadline: Int64
    public var owner: HoldOwner
    /// Milliseconds since 1970 on the node's clock.
    public var placed: Int64
    public var inputEstimate: Millicredits
    public var priceID: String
    public var endpoint: Endpoint
    /// Charge of what was consumed so far; nil: nothing was said yet.
    public var progress: Millicredits?
    /// 0: it came under no limits.
    public var key: Int64
    /// What limits of tokens counted; nil: there was none.
    public var countedTokens: Int64?
    /// Nothing of it is charged.
    public var isWaived: Bool

    init(_ request: PlaceRequest, amount: Millicredits, progress: Millicredits?, _ call: StoreCall) {
        (self.amount, self.progress) = (amount, progress)
        (self.deadline, self.owner, self.placed) = (call.deadline, HoldOwner(call.owner), call.now)
        (self.inputEstimate, self.priceID) = (request.inputEstimate, request.priceID)
        self.endpoint = request.endpoint
        self.isWaived = request.isWaived
        self.key = request.limits.areNone ? 0 : request.limits.keyID
        self.countedTokens = self.key == 0 ? nil : request.limits.countedTokens
    }
}

/// One entry of LOAD's listing.
public enum StoreEntry: Sendable, Hashable {
    case held(HoldID, HoldEntry)
    case captured(Settlement)

    public var hold: HoldID {
        switch self {
        case .held(let hold, _): hold
        case .captured(let settlement): settlement.hold
        }
    }
}

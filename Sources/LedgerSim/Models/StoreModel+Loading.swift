import Metering
import MoneyPath

/// LOAD and INIT: how an account comes into the store.
extension AccountHash {
    mutating func load(nonce: String, _ call: StoreCall) -> HoldReply {
        self.begin(nonce: nonce, takenOut: call.takenOut)
        return .listing(
            incarnation: self.incarnation ?? "", (Array(self.holds.keys) + Array(self.captures.keys)).sorted()
        )
    }

    mutating func begin(nonce: String, takenOut: Set<StoreGuard>) {
        if nonce.isEmpty, !takenOut.contains(.listCreatesNothing) { return }
        if self.incarnation == nil || takenOut.contains(.loadKeepsIncarnation) { self.incarnation = nonce }
    }

    mutating func initialize(
        _ incarnation: String, epoch: String, _ snapshot: AccountSnapshot, _ call: StoreCall
    ) -> Int64 {
        if self.incarnation != incarnation, call.has(.initChecksIncarnation) { return -1 }
        self.drop(snapshot.settled, call)
        let windows = self.roll(call)
        let held = self.holds.values.reduce(0) { $0 + $1.amount.value }
        let waived = self.holds.values.reduce(0) { $1.isWaived ? $0 + $1.amount.value : $0 }
        let captured = self.captures.values.reduce(0) { $0 + $1.charge.amount.value }
        let restores = snapshot.balance.generation > self.ledger?.generation ?? 0
        let counted = self.captures.values.reduce(0) { $0 + $1.counted.value }
        let unposted = call.has(.initAddsShadow) ? counted : captured
        self.take(snapshot, windows, captured: unposted, call)
        let isNewGate = self.gate?.version.map { snapshot.gate.version >= $0 } ?? true
        if isNewGate || restores && call.has(.initRestoresGate) || !call.has(.initComparesGate) {
            self.gate = GateReading(snapshot.gate)
        }
        self.epoch = epoch
        self.usedSecond = call.second
        if call.has(.initRecomputes) { (self.held, self.captured) = (held, captured) }
        if call.has(.initRecountsWaived) { self.waived = waived }
        if call.has(.initRecountsStreams) { self.streams = StreamCounts(of: self.holds.values) }
        return 0
    }

    private mutating func drop(_ settled: [SettledHold], _ call: StoreCall) {
        for settled in settled {
            if call.has(.initDropsHolds) { self.holds[settled.hold] = nil }
            guard let capture = self.captures[settled.hold], call.has(.initDropsCaptures) else { continue }
            let isHigher = capture.authority.rawValue > settled.authority.rawValue
            if isHigher, call.has(.initComparesAuthority) { continue }
            if capture.charge.amount == settled.amount || !call.has(.initComparesAmount) {
                self.captures[settled.hold] = nil
            }
        }
    }

    /// Balance and windows: where POSTED was faster than the snapshot its balance stays, and the larger spend; that also at
    /// the same version, which what is waived does not move.
    private mutating func take(
        _ snapshot: AccountSnapshot, _ windows: Rolled, captured: Int64, _ call: StoreCall
    ) {
        let unposted = call.has(.initAddsCaptured) ? captured : 0
        let hour = snapshot.spentLastHour.value + unposted
        let today = snapshot.spentToday.value + unposted
        let reading = snapshot.balance
        let isNewest = self.isNewer(reading, call)
        let isSame = self.ledger.map {
            $0.generation == reading.generation && $0.version == reading.version
        }
        let isTaken = isNewest || isSame == true && call.has(.initTakesSameVersion)
        if isTaken || !call.has(.initComparesVersion) { self.ledger = LedgerReading(reading) }
        if isNewest || !call.has(.initKeepsLargerSpend) {
            if call.has(.initClearsMinutes) { self.minutes = [:] }
            self.minutes[windows.minute % 61] = hour
            self.hour?.spent = hour
            self.day?.spent = today
        } else {
            // What was spent stays in its minutes: a window that is loaded again and again would never empty.
            let more = max(0, hour - windows.hour)
            if more > 0 { self.minutes[windows.minute % 61, default: 0] += more }
            self.hour?.spent = windows.hour + more
            self.day?.spent = max(today, windows.day)
        }
    }
}

/// What a reaper got by REAP.
public struct ReapedHold: Sendable, Hashable {
    public var amount: Millicredits
    /// Milliseconds since 1970 on the node's clock.
    public var placed: Int64
    public var inputEstimate: Millicredits
    public var priceID: String
    public var endpoint: Endpoint
    public var progress: Millicredits?

    public init(
        amount: Millicredits, placed: Int64, inputEstimate: Millicredits, priceID: String, endpoint: Endpoint,
        progress: Millicredits?
    ) {
        (self.amount, self.placed, self.inputEstimate) = (amount, placed, inputEstimate)
        (self.priceID, self.endpoint, self.progress) = (priceID, endpoint, progress)
    }
}

public enum ReapReply: Sendable, Hashable {
    case taken(ReapedHold)
    /// Not there, not the dead boot's, or its deadline has not passed.
    case kept
    /// The script met an error; only without a guard.
    case aborted

    public var taken: ReapedHold? { if case .taken(let hold) = self { hold } else { nil } }
}

/// What a sweep asks for.
extension StoreNode {
    /// All accounts, as a full SCAN finds them.
    public var accountIDs: [AccountID] { self.accounts.keys.sorted() }

    /// LOAD with the nonce '': every hold and capture, by id.
    public mutating func list(_ account: AccountID) -> [StoreEntry] {
        let takenOut = self.takenOut
        return self.withAccount(account) { hash in
            hash.begin(nonce: "", takenOut: takenOut)
            let entries =
                hash.holds.map { StoreEntry.held($0.key, $0.value) }
                + hash.captures.values.map { StoreEntry.captured($0) }
            return entries.sorted { $0.hold < $1.hold }
        }
    }

    /// Takes a hold over from a dead owner whose deadline has passed.
    public mutating func reap(
        hold id: HoldID, of account: AccountID, dead: HoldOwner, by reaper: BootID, lease: Span,
        nowMilliseconds: Int64
    ) -> ReapReply {
        guard let hold = self.accounts[account]?.holds[id] else {
            return self.takenOut.contains(.reapNeedsHold) ? .aborted : .kept
        }
        let isDead = hold.owner == dead || self.takenOut.contains(.reapNeedsOwner)
        let hasPassed = hold.deadline <= nowMilliseconds || self.takenOut.contains(.reapNeedsDeadline)
        guard isDead, hasPassed else { return .kept }
        if !self.takenOut.contains(.reapTakesOver) {
            self.accounts[account]?.holds[id]?.owner = HoldOwner(dead.boot, reaper: reaper)
            self.accounts[account]?.holds[id]?.deadline = nowMilliseconds + lease.milliseconds
        }
        if !self.takenOut.contains(.reapEndsStream) { self.accounts[account]?.streams.count(hold, -1) }
        return .taken(
            ReapedHold(
                amount: hold.amount, placed: hold.placed, inputEstimate: hold.inputEstimate,
                priceID: hold.priceID, endpoint: hold.endpoint, progress: hold.progress))
    }

    /// Forgets an account with nothing open that was not used for so long; true: it is gone.
    public mutating func evict(_ account: AccountID, idleSecondsMin: Int64, nowMilliseconds: Int64) -> Bool {
        let hash = self.accounts[account] ?? AccountHash()
        let second = nowMilliseconds / 1000
        if hash.held ?? 0 != 0 || hash.captured ?? 0 != 0 { return false }
        let idle = second - (hash.usedSecond ?? 0)
        if idle < idleSecondsMin, !self.takenOut.contains(.evictNeedsIdle) { return false }
        let isOpen = !hash.holds.isEmpty || !hash.captures.isEmpty
        if isOpen, !self.takenOut.contains(.evictNeedsNothingOpen) { return false }
        let hasYoungFence = hash.fences.values.contains { second - $0.raisedSecond < 900 }
        if hasYoungFence, !self.takenOut.contains(.evictKeepsFences) { return false }
        self.accounts[account] = nil
        return true
    }
}

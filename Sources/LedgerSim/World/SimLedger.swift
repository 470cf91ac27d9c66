import Metering
import MoneyPath

/// Why a question to the ledger has no answer: whether it was executed is not known.
struct LedgerSilence: Error {}

/// Postgres, and the way to it.
final class SimLedger {
    unowned var world: World! = nil
    private(set) var model: LedgerModel
    /// What was charged, or would have been, and when: the spend windows that a cold load reads.
    private var lines: [AccountID: [SpendLine]] = [:]
    private var snapshots: [(model: LedgerModel, lines: [AccountID: [SpendLine]])] = []
    private var isUp = true
    private var grantsMade = 0
    /// Floor and block, with their version; their own history is not rolled back here.
    private(set) var gates: [AccountID: AccountGate] = [:]
    private(set) var heartbeats: [BootID: Int64] = [:]
    /// The lowest floor that each account ever had; one that was told late still counts.
    private(set) var floorLeast: [AccountID: Int64] = [:]
    /// When each heart was last counted.
    private(set) var beatAt: [BootID: Int64] = [:]

    struct SpendLine {
        let atMilliseconds: Int64
        let amount: Int64
    }

    init(without missing: Set<LedgerGuard>) { self.model = LedgerModel(without: missing) }

    func open(_ account: AccountID, balance: Int64) {
        self.model.open(account)
        self.gates[account] = AccountGate(account: account, version: 1, floor: .zero, blocked: false)
        self.grant(account, balance)
    }

    @discardableResult
    private func grant(_ account: AccountID, _ amount: Int64) -> LedgerBalance? {
        self.grantsMade += 1
        let grant = LedgerModel.Grant(
            account: account, amount: Millicredits(amount), sourceRef: "grant\(self.grantsMade)")
        guard case .granted(let balance, _) = self.model.grant(grant) else { return nil }
        return balance
    }

    // MARK: Questions

    /// Asks over a network that loses answers. `then` is called on the process, once, if it lives.
    func ask<Value>(
        _ process: SimProcess, _ execute: @escaping (SimLedger) -> Value,
        then: @escaping (Result<Value, LedgerSilence>) -> Void
    ) {
        let (there, back) = (self.latency(), self.latency())
        self.world.after(there) {
            guard self.isUp, process.ledgerCutUntil <= self.world.time else {
                return process.after(.milliseconds(300)) { then(.failure(LedgerSilence())) }
            }
            if self.world.isFaulty, self.world.random.oneIn(40) {
                // 40001, 40P01: nothing of it was done.
                self.world.count(.ledgerConflict)
                return process.after(back) { then(.failure(LedgerSilence())) }
            }
            let value = execute(self)
            if self.world.isFaulty, self.world.random.oneIn(self.world.settings.profile.unknownCommitOneIn) {
                self.world.count(.commitUnknown)
                return process.after(.milliseconds(500)) { then(.failure(LedgerSilence())) }
            }
            process.after(back) { then(.success(value)) }
        }
    }

    private func latency() -> Span {
        guard self.world.isFaulty, self.world.random.oneIn(15) else {
            return .microseconds(self.world.random.between(200, 3_000))
        }
        return .milliseconds(self.world.random.between(5, 400))
    }

    func settle(_ batch: [Settlement]) -> SettlementReceipt {
        let keys = Set(batch.map { LedgerModel.Key(account: $0.account, hold: $0.hold) })
        let before = keys.map { ($0, self.model.settled($0)?.counted.value) }
        for settlement in batch where settlement.authority != .owner {
            let key = LedgerModel.Key(account: settlement.account, hold: settlement.hold)
            if self.model.settled(key) == nil { self.world.truth.estimated(settlement) }
        }
        let receipt = self.model.settle(batch.map { LedgerEntry($0) }, now: self.world.nowMilliseconds)
        for (key, amount) in before.sorted(by: { $0.0.hold < $1.0.hold }) {
            let more = (self.model.settled(key)?.counted.value ?? 0) - (amount ?? 0)
            guard more != 0 else { continue }
            self.lines[key.account, default: []].append(
                SpendLine(atMilliseconds: self.world.nowMilliseconds, amount: more))
        }
        for settlement in batch {
            self.world.tell(
                settlement.hold,
                "ledger: settle \(settlement.kind.name) \(settlement.charge.amount) authority "
                    + "\(settlement.authority.rawValue)")
        }
        self.check()
        return receipt
    }

    func snapshot(of account: AccountID, among holds: [HoldID]) -> AccountSnapshot? {
        guard let balance = self.model.balance(of: account), let gate = self.gates[account] else {
            return nil
        }
        let settled = holds.compactMap { hold in
            self.model.settled(LedgerModel.Key(account: account, hold: hold)).map {
                SettledHold(
                    hold: hold, amount: $0.amount, counted: $0.counted, authority: $0.authority)
            }
        }
        let now = self.world.nowMilliseconds
        return AccountSnapshot(
            balance: balance, gate: gate, spentLastHour: self.spent(account, after: now - 3_600_000),
            spentToday: self.spent(account, after: now / 86_400_000 * 86_400_000 - 1), settled: settled)
    }

    /// As the real query: by the time of posting, corrections by theirs.
    private func spent(_ account: AccountID, after: Int64) -> Millicredits {
        let lines = self.lines[account] ?? []
        return Millicredits(
            max(0, lines.reduce(0) { $0 + ($1.atMilliseconds > after ? $1.amount : 0) }))
    }

    /// All that caps ever counted.
    func counted(_ account: AccountID) -> Int64 {
        (self.lines[account] ?? []).reduce(0) { $0 + $1.amount }
    }

    func beat(_ boot: BootID) -> (counters: [BootID: Int64], at: [BootID: Int64], generation: Int64) {
        self.heartbeats[boot, default: 0] += 1
        self.beatAt[boot] = self.world.time
        return (self.heartbeats, self.beatAt, self.model.generation)
    }

    // MARK: The control plane

    /// Returns what the committed change says to whoever listens.
    func purchase() -> AccountSnapshot? {
        let account = AccountID(1 + self.world.random.below(SimSettings.accounts))
        self.world.count(.purchase)
        self.grant(account, self.world.random.between(50, self.world.isPoor ? 300 : 2_000))
        return self.snapshot(of: account, among: [])
    }

    func adjust() -> AccountSnapshot? {
        let account = AccountID(1 + self.world.random.below(SimSettings.accounts))
        self.world.count(.adjustment)
        let amount = self.world.random.between(1, 400)
        self.world.truth.noteAdjustment(account, amount)
        self.grant(account, -amount)
        return self.snapshot(of: account, among: [])
    }

    func suspendOrResume() -> AccountSnapshot? {
        let account = AccountID(1 + self.world.random.below(SimSettings.accounts))
        guard var gate = self.gates[account] else { return nil }
        self.world.count(.suspension)
        gate.version += 1
        gate.blocked.toggle()
        if !gate.blocked { gate.floor = Millicredits(self.world.random.between(-200, 200)) }
        self.gates[account] = gate
        self.floorLeast[account] = min(self.floorLeast[account] ?? 0, gate.floor.value)
        return self.snapshot(of: account, among: [])
    }

    // MARK: Accidents

    func keepSnapshots() {
        self.world.after(.milliseconds(self.world.random.between(300, 3_000))) {
            guard self.world.isFaulty else { return }
            self.snapshots.append((self.model, self.lines))
            if self.snapshots.count > 3 { self.snapshots.removeFirst() }
            self.keepSnapshots()
        }
    }

    func goDown() {
        guard self.isUp else { return }
        self.world.count(.ledgerDown)
        self.isUp = false
        self.world.after(.milliseconds(self.world.random.between(200, 12_000))) { self.isUp = true }
    }

    func rollBack() {
        guard let old = self.snapshots.randomElement(using: &self.world.random) else { return }
        self.world.count(.ledgerRolledBack)
        self.world.truth.noteLedgerLoss(self.world, from: self.model, to: old.model)
        for account in self.lines.keys {
            let lost = self.counted(account) - (old.lines[account] ?? []).reduce(0) { $0 + $1.amount }
            self.world.truth.noteCapAllowance(account, max(0, lost))
        }
        self.model.rollback(to: old.model, now: self.world.nowMilliseconds)
        self.lines = old.lines
        self.snapshots = []
    }

    func heal() {
        self.isUp = true
        for (account, gate) in self.gates {
            self.gates[account] = AccountGate(
                account: account, version: gate.version + 1, floor: .zero, blocked: false)
        }
    }

    /// I1–I5 after every posting.
    private func check() {
        guard let violation = self.model.violations().first else { return }
        self.world.fail("ledger: \(violation)")
    }
}

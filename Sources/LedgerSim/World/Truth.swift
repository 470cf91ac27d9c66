import Metering
import MoneyPath

/// What really happened, as nobody in the world knows it: the end-to-end oracle.
struct Truth {
    struct Exchange {
        let account: AccountID
        let boot: BootID
        let input: Int64
        let isWaived: Bool
        var granted: Millicredits?
        var isSent = false
        /// What the journal would settle, by its OPEN or last PROGRESS; nil: it has no OPEN.
        var journalEstimate: Millicredits?
        /// What it would have been without a waiver.
        var journalShadow: Millicredits?
        var servedOutput: Int64 = 0
        var decided: Settlement?
        var isRecorded = false
        var isJournaled = false
        var clientSawEnd = false
        var died = false
        /// The store may have forgotten something since this began.
        var storeLost = false
        var isCaptured = false
        /// An estimate was posted while its owner had not decided: what the hold kept may be spent by others (fault 12).
        var estimate: Millicredits?
        /// The store's clock when it was decided.
        var decidedAtMilliseconds: Int64 = 0

        /// The most that it sets aside, or takes, under caps.
        var most: Int64 { max(self.granted?.value ?? 0, self.decided?.counted.value ?? 0) }
    }

    private(set) var exchanges: [HoldID: Exchange] = [:]
    private(set) var disksLost: Set<BootID> = []
    private(set) var powerLost: Set<BootID> = []
    /// By how much an account may end below its floor: bounds that DESIGN §8 states, added up.
    private(set) var allowance: [AccountID: Int64] = [:]
    /// By how much an account may be charged above a cap.
    private(set) var capAllowance: [AccountID: Int64] = [:]
    private(set) var accidents = 0
    private var splitUntil: Int64 = 0

    // MARK: Exchanges

    mutating func began(_ exchange: SimExchange, boot: BootID, at time: Int64) {
        var began = Exchange(
            account: exchange.account, boot: boot, input: exchange.input, isWaived: exchange.isWaived)
        // Its commands may go to either side.
        began.storeLost = time < self.splitUntil
        self.exchanges[exchange.hold] = began
    }

    private mutating func change(_ hold: HoldID, _ body: (inout Exchange) -> Void) {
        guard let index = self.exchanges.index(forKey: hold) else { return }
        body(&self.exchanges.values[index])
    }

    /// What PLACE answered.
    private(set) var answered: [HoldID: PlaceAnswer] = [:]

    mutating func answered(_ hold: HoldID, _ answer: PlaceAnswer) { self.answered[hold] = answer }
    /// By PLACE, or more by EXTEND.
    mutating func granted(_ hold: HoldID, _ amount: Millicredits) {
        guard let exchange = self.exchanges[hold] else { return }
        self.change(hold) { $0.granted = amount }
        // The owner was stopped with the answer before its eyes, and others took the hold for left behind.
        guard let estimate = exchange.estimate else { return }
        let known = max(estimate, exchange.granted ?? .zero)
        self.noteAllowance(exchange, max(0, amount.value - known.value))
    }
    mutating func sent(_ hold: HoldID) { self.change(hold) { $0.isSent = true } }
    mutating func served(_ hold: HoldID, output: Int64) { self.change(hold) { $0.servedOutput = output } }
    /// By OPEN or PROGRESS.
    mutating func journaled(_ hold: HoldID, _ charge: Millicredits, shadow: Millicredits) {
        self.change(hold) { ($0.journalEstimate, $0.journalShadow) = (charge, shadow) }
    }
    func isWaived(_ hold: HoldID) -> Bool { self.exchanges[hold]?.isWaived ?? false }
    mutating func clientSawEnd(_ hold: HoldID) { self.change(hold) { $0.clientSawEnd = true } }
    mutating func died(_ hold: HoldID, boot: BootID) { self.change(hold) { $0.died = true } }
    mutating func captured(_ hold: HoldID) { self.change(hold) { $0.isCaptured = true } }

    mutating func decided(_ settlement: Settlement, atMilliseconds now: Int64) {
        var excess: Int64 = 0
        self.change(settlement.hold) { exchange in
            exchange.decided = settlement
            exchange.decidedAtMilliseconds = now
            excess = max(0, settlement.counted.value - (exchange.granted?.value ?? 0))
        }
        // Reported usage above the hold is posted in full.
        if let exchange = self.exchanges[settlement.hold] { self.noteAllowance(exchange, excess) }
    }

    mutating func recorded(_ settlement: Settlement, by boot: BootID, journaled: Bool) {
        self.change(settlement.hold) { exchange in
            guard exchange.boot == boot, settlement.authority == .owner else { return }
            exchange.isRecorded = true
            exchange.isJournaled = exchange.isJournaled || journaled
        }
    }

    // MARK: Accidents

    mutating func noteAllowance(_ account: AccountID, _ amount: Int64) {
        self.allowance[account, default: 0] += amount
        self.capAllowance[account, default: 0] += amount
    }

    /// What is waived takes nothing of a balance.
    private mutating func noteAllowance(_ exchange: Exchange, _ amount: Int64) {
        if !exchange.isWaived { self.allowance[exchange.account, default: 0] += amount }
        self.noteCapAllowance(exchange.account, amount)
    }

    mutating func noteCapAllowance(_ account: AccountID, _ amount: Int64) {
        self.capAllowance[account, default: 0] += amount
    }

    /// The balance was lowered: that says nothing about caps.
    mutating func noteAdjustment(_ account: AccountID, _ amount: Int64) {
        self.allowance[account, default: 0] += amount
    }

    /// The ledger takes an estimate for a hold, whose owner may know better later.
    mutating func estimated(_ settlement: Settlement) {
        guard let exchange = self.exchanges[settlement.hold], exchange.estimate == nil else { return }
        self.change(settlement.hold) { $0.estimate = settlement.charge.amount }
        self.noteAllowance(exchange, max(0, exchange.most - settlement.counted.value))
    }

    /// The store forgets: over-admission is at most the holds in flight and what is not posted.
    mutating func noteStoreLoss(_ world: World) {
        self.accidents += 1
        for (hold, exchange) in self.exchanges {
            self.exchanges[hold]?.storeLost = true
            let key = LedgerModel.Key(account: exchange.account, hold: hold)
            guard exchange.granted != nil, world.ledger.model.settled(key) == nil else { continue }
            self.noteAllowance(exchange, exchange.most)
        }
    }

    /// Two primaries: what is available can be spent on each side.
    mutating func noteSplit(_ world: World, until end: Int64) {
        self.splitUntil = max(self.splitUntil, end)
        for (account, state) in world.ledger.model.accounts {
            self.noteAllowance(account, max(0, state.balance) + 200)
            // What is waived is bounded by the caps alone.
            let caps = world.caps[account] ?? .none
            self.noteCapAllowance(account, max(caps.session?.value ?? 0, caps.day?.value ?? 0))
        }
    }

    /// Charges that the ledger lost come back when they are posted again; purchases do not.
    mutating func noteLedgerLoss(_ world: World, from now: LedgerModel, to old: LedgerModel) {
        self.accidents += 1
        for (account, state) in now.accounts {
            let before = old.accounts[account] ?? LedgerModel.Account()
            self.noteAllowance(account, max(0, state.granted - before.granted))
            self.noteAllowance(account, max(0, state.deducted - before.deducted))
        }
    }

    /// Holds whose session was not done with them when its process died: their entries may be anything.
    private(set) var unfinishedAtDeath: Set<HoldID> = []
    mutating func diedWith(_ holds: some Sequence<HoldID>) { self.unfinishedAtDeath.formUnion(holds) }

    mutating func lostDisk(_ boots: Set<BootID>) { self.disksLost.formUnion(boots) }
    mutating func lostPower(_ boot: BootID) { self.powerLost.insert(boot) }
    func hasJournal(_ boot: BootID) -> Bool {
        !self.disksLost.contains(boot) && !self.powerLost.contains(boot)
    }
    /// Charges may be gone: the ledger was set back, and a disk with its journal is lost.
    var ledgerWasSetBack = false
}

import Metering

/// The lots of one account: which grant each used credit came from, first in, first out, and what is revenue
/// because of it. A value machine that is fed with the account's ledger lines in the order of their versions.
///
/// Always: balance = Σ remaining − debt, and there is no debt while anything remains. Per lot: recognised +
/// deferred + reversed = paid, to the cent.
public struct LotBook: Sendable, Hashable {
    public let account: AccountID
    /// Of the last line that was taken: where the next run goes on.
    public private(set) var version: Int64
    public private(set) var balance: Millicredits
    /// In the order of their grants.
    public private(set) var lots: [CreditLot]
    public private(set) var debt: Debt

    /// Consumption that no lot covers; the next grant repays it first.
    public struct Debt: Sendable, Hashable {
        public internal(set) var used: Millicredits
        public internal(set) var withdrawn: Millicredits

        public static let none = Debt(used: .zero, withdrawn: .zero)

        public init(used: Millicredits, withdrawn: Millicredits) {
            self.used = used
            self.withdrawn = withdrawn
        }

        /// Of both kinds, in millicredits.
        public var total: Int64 { self.used.value + self.withdrawn.value }
    }

    private var indices: [String: Int]
    /// No lot before this one has anything left.
    private var firstOpen = 0
    /// Σ remaining, kept beside the lots so that every line is checked in constant time.
    private var remaining: Int64

    public init(account: AccountID) {
        self.account = account
        self.version = 0
        self.balance = .zero
        self.lots = []
        self.debt = .none
        self.indices = [:]
        self.remaining = 0
    }

    /// Goes on from what an earlier run stored.
    /// - Parameter lots: all of the account's, in the order of their grants.
    public init(
        account: AccountID, version: Int64, balance: Millicredits, lots: [CreditLot], debt: Debt
    ) throws(LotBookFailure) {
        var indices: [String: Int] = [:]
        var remaining: Int64 = 0
        for (index, lot) in lots.enumerated() {
            guard indices.updateValue(index, forKey: lot.sourceRef) == nil else {
                throw .lotTwice(lot.sourceRef)
            }
            let (sum, overflow) = remaining.addingReportingOverflow(lot.remaining.value)
            guard !overflow else { throw .storedStateDisagrees }
            remaining = sum
        }
        guard version >= 0, debt.used >= .zero, debt.withdrawn >= .zero,
            remaining == 0 || debt.total == 0, remaining - debt.total == balance.value
        else { throw .storedStateDisagrees }
        self.account = account
        self.version = version
        self.balance = balance
        self.lots = lots
        self.debt = debt
        self.indices = indices
        self.remaining = remaining
    }

    /// nil for a line that was taken before.
    mutating func take(_ line: LotLine) throws(LotBookFailure) -> LotStep? {
        guard line.version > self.version else { return nil }
        guard line.version == self.version + 1 else {
            throw .gap(expected: self.version + 1, found: line.version)
        }
        guard let after = self.balance.adding(line.amount), after == line.balanceAfter else {
            throw .balanceDisagrees(
                expected: self.balance.value + line.amount.value, found: line.balanceAfter.value)
        }
        var step = LotStep()
        switch line.effect {
        case .grant(let sourceRef, let kind, let paidCents):
            try self.grant(line, sourceRef, kind, paidCents, &step)
        case .usage where line.amount > .zero:
            try self.giveBack(line, &step)
        case .usage:
            self.consume(used: -line.amount.value, withdrawn: 0, &step)
        case .withdrawal:
            guard line.amount < .zero else { throw .amountDisagrees(version: line.version) }
            self.consume(used: 0, withdrawn: -line.amount.value, &step)
        case .clawBack(let sourceRef, let clawed, let reversedCents):
            try self.clawBack(line, sourceRef, clawed, reversedCents, &step)
        }
        self.repayDebt(&step)
        self.version = line.version
        self.balance = after
        precondition(self.remaining - self.debt.total == after.value, "LotBook: lots and balance parted")
        return step
    }

    private mutating func grant(
        _ line: LotLine, _ sourceRef: String, _ kind: CreditLot.Kind, _ paidCents: Int64,
        _ step: inout LotStep
    ) throws(LotBookFailure) {
        guard self.indices[sourceRef] == nil else { throw .lotTwice(sourceRef) }
        let lot: CreditLot
        do throws(CreditLot.Failure) {
            lot = try CreditLot(sourceRef: sourceRef, kind: kind, credits: line.amount, paidCents: paidCents)
        } catch {
            throw .impossibleLot(sourceRef, error)
        }
        // From here on this must succeed.
        self.indices[sourceRef] = self.lots.count
        step.changed.insert(self.lots.count)
        self.lots.append(lot)
        self.remaining += lot.remaining.value
    }

    /// The debt of usage first, then the lots that were used last.
    private mutating func giveBack(_ line: LotLine, _ step: inout LotStep) throws(LotBookFailure) {
        let everUsed = self.lots.reduce(Int128(self.debt.used.value)) { $0 + Int128($1.used.value) }
        guard Int128(line.amount.value) <= everUsed else {
            throw .moreGivenBackThanUsed(version: line.version)
        }
        // From here on this must succeed.
        var rest = line.amount.value
        let owed = min(rest, self.debt.used.value)
        self.debt.used = Millicredits(self.debt.used.value - owed)
        rest -= owed
        var index = self.lots.count
        while rest > 0 {
            index -= 1
            let part = min(rest, self.lots[index].used.value)
            guard part > 0 else { continue }
            self.change(index, &step) { $0.used = Millicredits($0.used.value - part) }
            rest -= part
        }
    }

    /// Consumption that the lot no longer covers moves on to what other lots have, else it becomes a debt.
    private mutating func clawBack(
        _ line: LotLine, _ sourceRef: String, _ clawed: Millicredits, _ reversedCents: Int64,
        _ step: inout LotStep
    ) throws(LotBookFailure) {
        guard let index = self.indices[sourceRef] else { throw .noSuchLot(sourceRef) }
        let lot = self.lots[index]
        guard clawed >= .zero, clawed <= lot.credits else {
            throw .impossibleLot(sourceRef, .clawedOutOfRange)
        }
        guard reversedCents >= 0, reversedCents <= lot.paidCents else {
            throw .impossibleLot(sourceRef, .reversedOutOfRange)
        }
        guard line.amount.value == lot.clawed.value - clawed.value else {
            throw .amountDisagrees(version: line.version)
        }
        // From here on this must succeed.
        let excess = max(0, lot.consumed.value - (lot.credits.value - clawed.value))
        let used = min(excess, lot.used.value)
        let withdrawn = excess - used
        self.change(index, &step) {
            $0.clawed = clawed
            $0.reversedCents = reversedCents
            $0.used = Millicredits($0.used.value - used)
            $0.withdrawn = Millicredits($0.withdrawn.value - withdrawn)
        }
        self.consume(used: used, withdrawn: withdrawn, &step)
    }

    private mutating func consume(used: Int64, withdrawn: Int64, _ step: inout LotStep) {
        // Through the debt, so that there is one place that consumes lots.
        self.debt.used = Millicredits(self.debt.used.value + used)
        self.debt.withdrawn = Millicredits(self.debt.withdrawn.value + withdrawn)
        self.repayDebt(&step)
    }

    private mutating func repayDebt(_ step: inout LotStep) {
        while self.debt.total > 0, let index = self.nextOpen() {
            let left = self.lots[index].remaining.value
            let used = min(left, self.debt.used.value)
            let withdrawn = min(left - used, self.debt.withdrawn.value)
            self.change(index, &step) {
                $0.used = Millicredits($0.used.value + used)
                $0.withdrawn = Millicredits($0.withdrawn.value + withdrawn)
            }
            self.debt.used = Millicredits(self.debt.used.value - used)
            self.debt.withdrawn = Millicredits(self.debt.withdrawn.value - withdrawn)
        }
    }

    private mutating func nextOpen() -> Int? {
        while self.firstOpen < self.lots.count, self.lots[self.firstOpen].remaining == .zero {
            self.firstOpen += 1
        }
        return self.firstOpen < self.lots.count ? self.firstOpen : nil
    }

    /// The only place that changes a lot: what became revenue is the difference of the lot's own figures.
    private mutating func change(_ index: Int, _ step: inout LotStep, _ edit: (inout CreditLot) -> Void) {
        let before = self.lots[index]
        edit(&self.lots[index])
        let after = self.lots[index]
        precondition(after.isPossible, "LotBook: a lot holds less than what was consumed of it")
        step.changed.insert(index)
        step.moved.add(from: before, to: after)
        self.remaining += after.remaining.value - before.remaining.value
        if after.remaining > .zero { self.firstOpen = min(self.firstOpen, index) }
    }
}

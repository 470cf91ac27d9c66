import Metering

/// A line of `credit_ledger`, as revenue recognition reads it.
public struct LotLine: Sendable, Hashable {
    /// Of the balance after the line; an account's versions have no gaps.
    public var version: Int64
    /// Of `created_at`.
    public var day: UTCDay
    /// Signed, as the ledger has it.
    public var amount: Millicredits
    public var balanceAfter: Millicredits
    public var effect: Effect

    public enum Effect: Sendable, Hashable {
        /// Positive: a new lot under its `source_ref`.
        case grant(sourceRef: String, kind: CreditLot.Kind, paidCents: Int64)
        /// A deduction (negative), or the correction of a settlement (either sign).
        case usage
        /// A refund or dispute line, with the lot's totals after it. Positive returns what a refund that
        /// failed had taken.
        case clawBack(sourceRef: String, clawed: Millicredits, reversedCents: Int64)
        /// Negative: an administrator takes credits back, not linked to a lot.
        case withdrawal
    }

    public init(
        version: Int64, day: UTCDay, amount: Millicredits, balanceAfter: Millicredits, effect: Effect
    ) {
        self.version = version
        self.day = day
        self.amount = amount
        self.balanceAfter = balanceAfter
        self.effect = effect
    }

    /// What its journal entry is called.
    var kind: JournalEntry.Kind {
        switch self.effect {
        case .grant: .debtRepaid
        case .usage: .consumption
        case .clawBack: .clawBack
        case .withdrawal: .withdrawal
        }
    }
}

/// A line that cannot follow what the book has seen: the ledger or the book is damaged, and nothing was
/// changed.
public enum LotBookFailure: Error, Sendable, Hashable {
    /// A line is missing before this one.
    case gap(expected: Int64, found: Int64)
    case balanceDisagrees(expected: Int64, found: Int64)
    /// The sign does not fit the line's kind, or a claw-back's amount its totals.
    case amountDisagrees(version: Int64)
    case lotTwice(String)
    case noSuchLot(String)
    case impossibleLot(String, CreditLot.Failure)
    /// A correction gives back more than was ever used.
    case moreGivenBackThanUsed(version: Int64)
    /// Lots and debt that were stored do not add up to the stored balance.
    case storedStateDisagrees
    /// The lines move more money than an amount of the books can hold.
    case tooLarge
}

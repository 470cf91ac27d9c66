/// Money that moved at Stripe: a pair of accounts of the books and a direction; the cents are always positive.
public enum CashMovement: String, Sendable, Hashable, CaseIterable {
    case received
    case fee
    case feeReturned = "fee_returned"
    case refunded
    case refundReturned = "refund_returned"
    case disputeWithdrawn = "dispute_withdrawn"
    case disputeReturned = "dispute_returned"
    case disputeLost = "dispute_lost"
    case disputeLossReturned = "dispute_loss_returned"
    /// A lost dispute about money that had been refunded before: our loss.
    case lostBeyondPaid = "lost_beyond_paid"
    case lostBeyondPaidReturned = "lost_beyond_paid_returned"
    case disputeFee = "dispute_fee"
    case disputeFeeReturned = "dispute_fee_returned"

    /// The account that is debited and the one that is credited.
    public var accounts: (debit: BookAccount, credit: BookAccount) {
        switch self {
        case .received: (.stripe, .deferredRevenue)
        case .fee: (.stripeFees, .stripe)
        case .feeReturned: (.stripe, .stripeFees)
        case .refunded: (.deferredRevenue, .stripe)
        case .refundReturned: (.stripe, .deferredRevenue)
        case .disputeWithdrawn: (.disputed, .stripe)
        case .disputeReturned: (.stripe, .disputed)
        case .disputeLost: (.deferredRevenue, .disputed)
        case .disputeLossReturned: (.disputed, .deferredRevenue)
        case .lostBeyondPaid: (.badDebt, .disputed)
        case .lostBeyondPaidReturned: (.disputed, .badDebt)
        case .disputeFee: (.disputeFees, .stripe)
        case .disputeFeeReturned: (.stripe, .disputeFees)
        }
    }
}

extension JournalEntry {
    /// - Parameters:
    ///   - key: of the posting that caused it, such as `stripe:payment:pi_1:2`.
    ///   - cents: positive; the direction is the movement's.
    public init(
        _ movement: CashMovement, cents: Int64, key: String, day: UTCDay
    ) throws(JournalEntry.Failure) {
        guard cents > 0, cents <= MicroUSD.centsMax else { throw .impossibleAmount(cents) }
        let (debit, credit) = movement.accounts
        let amount = MicroUSD(cents: cents)
        try self.init(
            reading: key, day: day, kind: .cash(movement),
            lines: [Line(debit, amount), Line(credit, MicroUSD(-amount.value))])
    }

    /// Cost of a day as a target: the entry holds what the day's total moved by since it was last posted. nil
    /// when it did not move, so a job that runs twice posts once.
    /// - Parameters:
    ///   - posted: Σ of the day's earlier entries of this kind.
    ///   - revision: number of this entry among those of the day, from 1.
    public init?(costOf day: UTCDay, target: MicroUSD, posted: MicroUSD, revision: Int64) {
        let (moved, overflow) = target.value.subtractingReportingOverflow(posted.value)
        precondition(
            !overflow && moved != .min, "JournalEntry: a day's cost is far below the range of 64 bits")
        self.init(
            key: "cost:\(day):\(revision)", day: day, kind: .cost,
            moving: [Line(.openAICost, MicroUSD(moved)), Line(.openAIPayable, MicroUSD(-moved))])
    }
}

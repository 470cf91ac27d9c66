import Metering

/// An invariant of DESIGN §9 that does not hold in the model.
public enum LedgerModelViolation: Sendable, Hashable {
    /// I2: the balance is not what was granted less what was deducted.
    case balanceDrifted(AccountID)
    /// I2: the version is not the number of ledger lines.
    case versionWithoutLine(AccountID)
    /// I4: the outcomes that count do not add up to what was deducted.
    case usageDiffers(AccountID, counted: Int64, deducted: Int64)
    /// I5: a hold was paid for more or less than its outcome says.
    case paidWrongly(LedgerModel.Key, paid: Int64, counts: Int64)
}

extension LedgerModel {
    /// Looks at everything: for the end of a run, or every thousandth step.
    public func violations() -> [LedgerModelViolation] {
        var found: [LedgerModelViolation] = []
        var counted: [AccountID: Int64] = [:]
        for (key, row) in self.rows {
            let amount = row.counts.amount.value
            counted[key.account, default: 0] += amount
            if row.paid != amount { found.append(.paidWrongly(key, paid: row.paid, counts: amount)) }
        }
        for (id, account) in self.accounts {
            if account.balance != account.granted - account.deducted { found.append(.balanceDrifted(id)) }
            if account.version != account.lines { found.append(.versionWithoutLine(id)) }
            let usage = counted[id] ?? 0
            if usage != account.deducted {
                found.append(.usageDiffers(id, counted: usage, deducted: account.deducted))
            }
        }
        return found
    }
}

import Metering

extension LedgerModel {
    /// The content of a grant; repeated with the same key it must be the same.
    public struct Grant: Sendable, Hashable {
        public var account: AccountID
        public var amount: Millicredits
        /// Idempotency key.
        public var sourceRef: String
        /// Kind, reason and payment, which the model compares and does not read.
        public var remarks: String

        public init(account: AccountID, amount: Millicredits, sourceRef: String, remarks: String = "") {
            self.account = account
            self.amount = amount
            self.sourceRef = sourceRef
            self.remarks = remarks
        }
    }

    public enum GrantAnswer: Sendable, Hashable {
        /// As it was right after the grant; for a repetition, right after the first time.
        case granted(LedgerBalance, repeated: Bool)
        case noSuchAccount
        case idempotencyConflict
        case zeroAmount
        case balanceOutOfRange
    }

    struct GrantRecord: Sendable, Hashable {
        var grant: Grant
        var balance: Int64
        var version: Int64
    }

    /// `grant_credits()`: posts once per key.
    public mutating func grant(_ grant: Grant) -> GrantAnswer {
        guard grant.amount != .zero else { return .zeroAmount }
        guard var account = self.accounts[grant.account] else { return .noSuchAccount }
        if let known = self.grants[grant.sourceRef] {
            guard known.grant == grant else { return .idempotencyConflict }
            let balance = LedgerBalance(
                account: grant.account, generation: self.generation, version: known.version,
                balance: Millicredits(known.balance))
            return .granted(balance, repeated: true)
        }
        let balance = account.balance + grant.amount.value
        guard balance.magnitude <= UInt64(Millicredits.magnitudeMax) else { return .balanceOutOfRange }

        // From here on this must succeed.
        account.balance = balance
        account.version += 1
        account.lines += 1
        account.granted += grant.amount.value
        self.accounts[grant.account] = account
        self.grants[grant.sourceRef] = GrantRecord(
            grant: grant, balance: balance, version: account.version)
        return .granted(self.balance(account, of: grant.account), repeated: false)
    }
}

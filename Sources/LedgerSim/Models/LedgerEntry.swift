import Metering

/// What the ledger looks at in an outcome. Made once and kept: a digest costs a hash of the whole outcome.
public struct LedgerEntry: Sendable, Hashable {
    public var account: AccountID
    public var hold: HoldID
    public var owner: BootID
    public var kind: Settlement.Kind
    public var authority: Settlement.Authority
    public var amount: Millicredits
    public var digest: Int64
    /// What would have been charged.
    public var shadow: Millicredits
    /// What `usage_parts` keeps; the ledger keeps that of the outcome that counts.
    public var parts: [UsagePart]
    /// false: a column of the real row refuses it (a negative count, an absurd charge).
    public var isAcceptable: Bool

    public init(
        account: AccountID, hold: HoldID, owner: BootID, kind: Settlement.Kind,
        authority: Settlement.Authority, amount: Millicredits, digest: Int64,
        shadow: Millicredits? = nil, parts: [UsagePart] = [], isAcceptable: Bool = true
    ) {
        self.account = account
        self.hold = hold
        self.owner = owner
        self.kind = kind
        self.authority = authority
        self.amount = amount
        self.digest = digest
        self.shadow = shadow ?? amount
        self.parts = parts
        self.isAcceptable = isAcceptable
    }

    public init(_ settlement: Settlement) {
        self.init(
            account: settlement.account, hold: settlement.hold, owner: settlement.owner,
            kind: settlement.kind, authority: settlement.authority, amount: settlement.charge.amount,
            digest: settlement.digest, shadow: settlement.shadow, parts: settlement.usage.parts,
            isAcceptable: Self.isAcceptable(settlement))
    }

    /// What caps count of it.
    public var counted: Millicredits { self.kind == .waived ? self.shadow : self.amount }

    /// The CHECKs of `usage_events`.
    private static func isAcceptable(_ settlement: Settlement) -> Bool {
        let usage = settlement.usage
        let counts = [
            usage.inputTotal, usage.cachedInput, usage.cacheWrite, usage.outputTotal, usage.reasoning,
        ]
        return counts.allSatisfy { $0 >= 0 } && usage.parts.allSatisfy { $0.count > 0 }
            && settlement.charge.amount <= Millicredits.chargeMax
            && settlement.charge.amount >= .zero && settlement.shadow >= .zero
            && settlement.charge.cost.value >= 0
    }

    public var key: LedgerModel.Key { LedgerModel.Key(account: self.account, hold: self.hold) }
}

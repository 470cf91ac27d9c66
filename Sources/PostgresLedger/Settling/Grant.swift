import Metering

/// A change of a balance that is not consumption: the only way in which credits come in.
public struct Grant: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        case purchase, promotional, trial
        /// Signed; a negative one takes credits back.
        case adjustment
        /// Signed, as an adjustment; refers to a purchase.
        case refund

        var mayBeNegative: Bool { self == .adjustment || self == .refund }
    }

    public var account: AccountID
    public var amount: Millicredits
    public var kind: Kind
    /// Idempotency key, unique over all grants; 1 to 300 bytes.
    public var sourceRef: String
    public var reason: String
    /// US cents that were paid for it; 0 for gifts and for negative grants.
    public var paidCents: Int64

    public init(
        account: AccountID, amount: Millicredits, kind: Kind, sourceRef: String, reason: String,
        paidCents: Int64 = 0
    ) {
        self.account = account
        self.amount = amount
        self.kind = kind
        self.sourceRef = sourceRef
        self.reason = reason
        self.paidCents = paidCents
    }

    public struct Receipt: Sendable, Hashable {
        public var transaction: HoldID
        /// As it was right after the grant; for a repetition, right after the first time.
        public var balance: LedgerBalance
        /// The key was used before with the same content; nothing was changed now.
        public var repeated: Bool
    }

    public enum Failure: Error, Sendable, Hashable {
        case zeroAmount
        /// Only adjustments and refunds may be negative.
        case negativeAmount
        /// Negative, or paid for a grant that takes credits away.
        case invalidPayment
        case invalidSourceRef
        case noSuchAccount
        /// The key was used for another account, amount, kind, reason or payment.
        case idempotencyConflict
        /// The balance would leave ±`Millicredits.magnitudeMax`.
        case balanceOutOfRange
    }

    fileprivate func check() throws(Failure) {
        guard self.amount != .zero else { throw .zeroAmount }
        guard self.amount > .zero || self.kind.mayBeNegative else { throw .negativeAmount }
        guard self.paidCents >= 0, self.amount > .zero || self.paidCents == 0 else { throw .invalidPayment }
        let bytes = self.sourceRef.utf8
        guard (1...300).contains(bytes.count), !bytes.contains(0), !self.reason.utf8.contains(0) else {
            throw .invalidSourceRef
        }
    }
}

extension PostgresLedger {
    /// Posts a grant exactly once per `sourceRef`: head, ledger line, contra line, lot, balance and NOTIFY in
    /// one statement. Throws `Grant.Failure`, or `PostgresError` when it is not known to be committed (repeat
    /// it).
    public func grant(_ grant: Grant) async throws -> Grant.Receipt {
        try grant.check()
        return try await self.pool.run { connection in
            do {
                let row = try connection.retryingConcurrency {
                    try connection.run(
                        """
                        SELECT o_transaction, o_balance, o_version, o_generation, o_repeated
                        FROM grant_credits($1::uuid, $2, $3, $4, $5, $6, $7)
                        """,
                        [
                            .uuid(Self.freshID()), .int(grant.account), .int(grant.amount.value),
                            .text(grant.kind.rawValue), .text(grant.sourceRef), .text(grant.reason),
                            .int(grant.paidCents),
                        ]
                    ).one()
                }
                let balance = try LedgerBalance(
                    account: grant.account, generation: row.int(3), version: row.int(2),
                    balance: row.millicredits(1))
                return try Grant.Receipt(transaction: row.uuid(0), balance: balance, repeated: row.bool(4))
            } catch let error as PostgresError {
                switch error.sqlState {
                case .noSuchAccount?: throw Grant.Failure.noSuchAccount
                case .idempotencyConflict?: throw Grant.Failure.idempotencyConflict
                case .checkViolation?: throw Grant.Failure.balanceOutOfRange
                default: throw error
                }
            }
        }
    }
}

import Billing
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
    ///
    /// - Parameter note: of a person's change; nil: a program's.
    public func grant(_ grant: Grant, note: ChangeNote? = nil) async throws -> Grant.Receipt {
        try grant.check()
        guard let note else {
            return try await self.pool.run { connection in
                try connection.retryingConcurrency { try grant.post(on: connection) }
            }
        }
        return try await self.pool.run { connection in
            try connection.retryingConcurrency {
                try connection.transaction { connection in
                    let receipt = try grant.post(on: connection)
                    guard !receipt.repeated else { return receipt }
                    let user = try connection.run(
                        "SELECT user_id FROM account WHERE account_id = $1", [.int(grant.account)]
                    ).one().text(0)
                    let before = Millicredits(receipt.balance.balance.value - grant.amount.value)
                    try connection.audit(
                        note, "account.adjust", "account:\(user)",
                        before: AuditJSON.object([("balanceMillicredits", AuditJSON.amount(before))]),
                        after: AuditJSON.object([
                            ("balanceMillicredits", AuditJSON.amount(receipt.balance.balance)),
                            ("amountMillicredits", AuditJSON.amount(grant.amount)),
                            ("sourceRef", AuditJSON.text(grant.sourceRef)),
                        ]))
                    return receipt
                }
            }
        }
    }
}

extension Grant {
    /// - Throws: `Failure`, or `PostgresError`.
    func post(on connection: PostgresConnection) throws -> Receipt {
        do {
            let row = try connection.run(
                """
                SELECT o_transaction, o_balance, o_version, o_generation, o_repeated
                FROM grant_credits($1::uuid, $2, $3, $4, $5, $6, $7)
                """,
                [
                    .uuid(PostgresLedger.freshID()), .int(self.account), .int(self.amount.value),
                    .text(self.kind.rawValue), .text(self.sourceRef), .text(self.reason),
                    .int(self.paidCents),
                ]
            ).one()
            let balance = try LedgerBalance(
                account: self.account, generation: row.int(3), version: row.int(2),
                balance: row.millicredits(1))
            return try Receipt(transaction: row.uuid(0), balance: balance, repeated: row.bool(4))
        } catch {
            switch error.sqlState {
            case .noSuchAccount?: throw Failure.noSuchAccount
            case .idempotencyConflict?: throw Failure.idempotencyConflict
            case .checkViolation?: throw Failure.balanceOutOfRange
            default: throw error
            }
        }
    }
}

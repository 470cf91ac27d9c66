import Billing
import Metering

/// A `LotBook` in its rows, with the account's row of `lot_book` locked.
struct LotBookRows {
    let connection: PostgresConnection
    let account: AccountID

    /// Locks the book, which is made if the account has none; nil: another instance is at it.
    func load() throws -> LotBook? {
        try self.connection.run(
            "INSERT INTO lot_book (account_id) VALUES ($1) ON CONFLICT DO NOTHING", [.int(self.account)])
        guard
            let row = try self.connection.run(
                """
                SELECT version, balance, debt_used, debt_withdrawn FROM lot_book WHERE account_id = $1
                FOR UPDATE SKIP LOCKED
                """, [.int(self.account)]
            ).first
        else { return nil }
        let lots = try self.connection.run(
            """
            SELECT source_ref, kind, credits, paid_cents, clawed, reversed_cents, used, withdrawn
            FROM credit_lot WHERE account_id = $1 AND position IS NOT NULL ORDER BY position
            """, [.int(self.account)]
        ).rows.map(Self.lot)
        return try LotBook(
            account: self.account, version: row.int(0), balance: row.millicredits(1), lots: lots,
            debt: LotBook.Debt(used: row.millicredits(2), withdrawn: row.millicredits(3)))
    }

    private static func lot(_ row: PostgresRow) throws -> CreditLot {
        guard let kind = CreditLot.Kind(rawValue: try row.text(1)) else {
            throw PostgresError.unexpectedResult("unknown kind of a lot")
        }
        return try CreditLot(
            sourceRef: row.text(0), kind: kind, credits: row.millicredits(2), paidCents: row.int(3),
            clawed: row.millicredits(4), reversedCents: row.int(5), used: row.millicredits(6),
            withdrawn: row.millicredits(7))
    }

    /// The account's ledger lines behind `version`, in order.
    func lines(after version: Int64, limit: Int64) throws -> [LotLine] {
        try self.connection.run(
            """
            SELECT l.version, ((l.created_at AT TIME ZONE 'UTC')::date - date '1970-01-01')::bigint,
                   l.amount_millicredits, l.balance_after_millicredits, t.kind, l.type, t.source_ref,
                   t.paid_cents, r.lot, r.clawed, r.reversed_cents
            FROM credit_ledger l JOIN ledger_transaction t ON t.id = l.transaction_id
            LEFT JOIN lot_reversal r ON r.transaction_id = l.transaction_id
            WHERE l.account_id = $1 AND l.version > $2 ORDER BY l.version LIMIT $3
            """, [.int(self.account), .int(version), .int(limit)]
        ).rows.map(Self.line)
    }

    private static func line(_ row: PostgresRow) throws -> LotLine {
        guard let day = UTCDay(daysSinceEpoch: try row.int(1)) else {
            throw PostgresError.unexpectedResult("a day outside the calendar")
        }
        let amount = try row.millicredits(2)
        return LotLine(
            version: try row.int(0), day: day, amount: amount, balanceAfter: try row.millicredits(3),
            effect: try Self.effect(row, amount))
    }

    private static func effect(_ row: PostgresRow, _ amount: Millicredits) throws -> LotLine.Effect {
        switch try row.text(4) {
        case "settlement", "correction": return .usage
        case "reversal":
            return .clawBack(
                sourceRef: try row.text(8), clawed: try row.millicredits(9), reversedCents: try row.int(10))
        case "grant" where amount < .zero: return .withdrawal
        case "grant":
            guard let kind = CreditLot.Kind(rawValue: try row.text(5)) else {
                throw PostgresError.unexpectedResult("unknown kind of a grant")
            }
            return .grant(
                sourceRef: try row.text(6), kind: kind, paidCents: try row.optionalInt(7) ?? 0)
        default: throw PostgresError.unexpectedResult("unknown kind of a ledger transaction")
        }
    }

    /// Lots and book as they are after a run, and what moved in the journal.
    func store(_ book: LotBook, _ changes: LotChanges) throws {
        for lot in changes.lots {
            try self.connection.run(
                """
                UPDATE credit_lot SET clawed = $2, reversed_cents = $3, used = $4, withdrawn = $5, consumed = $4::bigint + $5::bigint,
                    recognized_cents = $6, position = coalesce(position, (
                        SELECT l.version FROM ledger_transaction t JOIN credit_ledger l ON l.transaction_id = t.id
                        WHERE t.source_ref = $1))
                WHERE source_ref = $1
                """,
                [
                    .text(lot.sourceRef), .int(lot.clawed.value), .int(lot.reversedCents),
                    .int(lot.used.value),
                    .int(lot.withdrawn.value), .int(lot.recognisedCents),
                ])
        }
        try self.connection.run(
            """
            UPDATE lot_book SET version = $2, balance = $3, debt_used = $4, debt_withdrawn = $5, failure = NULL,
                updated_at = now() WHERE account_id = $1
            """,
            [
                .int(self.account), .int(book.version), .int(book.balance.value), .int(book.debt.used.value),
                .int(book.debt.withdrawn.value),
            ])
        for entry in changes.entries {
            try JournalWriter.write(entry, account: self.account, on: self.connection)
        }
    }
}

import Billing
import Metering

extension PostgresLedger: HistoryReading {
    /// A page is a range of the key, read backwards.
    public func ledger(_ query: LedgerQuery) async throws -> [LedgerEntry] {
        try await self.list { connection in
            try connection.run(
                """
                SELECT l.version, l.type, l.amount_millicredits, l.balance_after_millicredits, l.reference_type,
                       l.reference_id, (extract(epoch FROM l.created_at) * 1000)::bigint, p.purchase_id, p.receipt_url
                FROM credit_ledger l
                LEFT JOIN purchase p
                    ON p.purchase_id = CASE WHEN l.reference_type = 'purchase' THEN l.reference_id::uuid END
                WHERE l.account_id = $1 AND l.version < coalesce($2::bigint, 9223372036854775807)
                  AND ($3::text IS NULL OR l.type = $3)
                  AND ($4::bigint IS NULL OR l.created_at >= to_timestamp($4::bigint / 1000.0))
                  AND ($5::bigint IS NULL OR l.created_at < to_timestamp($5::bigint / 1000.0))
                ORDER BY l.version DESC LIMIT $6
                """,
                [
                    .int(query.account), .int(query.before), .text(query.type?.rawValue), .int(query.from),
                    .int(query.to), .int(query.limit),
                ]
            ).rows.map(Self.entry)
        }
    }

    private static func entry(_ row: PostgresRow) throws -> LedgerEntry {
        let line = try LedgerLine(
            version: row.int(0), type: row.text(1), amount: row.millicredits(2),
            balanceAfter: row.millicredits(3), referenceType: row.text(4), referenceID: row.text(5),
            createdAt: row.int(6))
        let purchase = try row.optionalText(7) == nil ? nil : PurchaseID(row.uuid(7))
        return LedgerEntry(line: line, purchase: purchase, receiptURL: try row.optionalText(8))
    }
}

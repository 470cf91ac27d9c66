import Billing
import Metering

extension PostgresLedger: PaymentReplaying {
    /// Ends a transaction without a commit.
    private struct RolledBack: Error {
        var rehearsal: Rehearsal
    }

    public func rehearse(
        _ hint: PaymentHint, event: StripeEventRecord, reader: any PaymentReading
    ) async throws -> Rehearsal {
        try await self.pool.run(timeout: Self.settlementTimeout) { connection in
            do {
                return try connection.retryingConcurrency(attempts: 3) {
                    try connection.transaction { connection -> Rehearsal in
                        try Self.beginSettlement(on: connection)
                        let outcome = try PaymentSettlement(
                            connection: connection, hint: hint, event: event, reader: reader,
                            now: Self.wallMilliseconds()
                        ).run()
                        throw RolledBack(
                            rehearsal: Rehearsal(
                                outcome: outcome, postings: try Self.postings(of: outcome, on: connection)))
                    }
                }
            } catch let end as RolledBack {
                return end.rehearsal
            }
        }
    }

    /// What this very transaction wrote.
    private static func postings(
        of outcome: PaymentOutcome, on connection: PostgresConnection
    ) throws -> [String] {
        guard case .posted(_, _, let purchase) = outcome else { return [] }
        return try connection.run(
            """
            (SELECT l.type || ' ' || l.amount_millicredits || ' millicredits' FROM credit_ledger l
             WHERE l.account_id = $1 AND l.xmin = pg_current_xact_id()::xid ORDER BY l.version)
            UNION ALL
            (SELECT c.kind || ' ' || c.cents || ' cents' FROM cash_movement c
             WHERE c.purchase_id = $2::uuid AND c.xmin = pg_current_xact_id()::xid ORDER BY c.movement_key)
            """, [.int(purchase.account), .uuid(purchase.id.uuid)]
        ).rows.map { try $0.text(0) }
    }
}

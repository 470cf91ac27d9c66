import Metering

extension PostgresLedger: AccountReading {
    public func snapshot(
        of account: AccountID, among holds: [HoldID],
        reply: @escaping @Sendable (Result<AccountSnapshot, LedgerReadFailure>) -> Void
    ) {
        self.pool.submit(timeout: .seconds(5)) { connection in
            try Self.snapshot(of: account, among: holds, on: connection)
        } completion: { result in
            switch result {
            case .success(let snapshot?): reply(.success(snapshot))
            case .success(nil): reply(.failure(.noSuchAccount))
            case .failure: reply(.failure(.unreachable))
            }
        }
    }

    /// One statement, so balance, gate, spend windows and settled holds are of one moment. nil: no such
    /// account.
    ///
    /// Spend counts when it was posted; the hold-id bounds (a day wider) only spare partitions.
    private static func snapshot(
        of account: AccountID, among holds: [HoldID], on connection: PostgresConnection
    ) throws -> AccountSnapshot? {
        let rows = try connection.run(
            """
            WITH spent AS (
                SELECT e.created_at AS at, e.charged_millicredits AS amount FROM usage_events e
                WHERE e.account_id = $1 AND e.hold_id >= hold_id_at(now() - interval '2 days')
                UNION ALL
                SELECT c.created_at, c.delta_millicredits FROM usage_correction c
                WHERE c.account_id = $1 AND c.hold_id >= hold_id_at(now() - interval '2 days')),
            settled AS (
                SELECT w.hold_id, u.charged_millicredits AS amount
                FROM unnest($2::uuid[]) AS w(hold_id) CROSS JOIN LATERAL (
                    SELECT x.charged_millicredits FROM usage_effective x
                    WHERE x.account_id = $1 AND x.hold_id = w.hold_id LIMIT 1) u)
            SELECT b.balance_millicredits, b.version, (SELECT ledger_generation()),
                   b.gate_version, b.floor_millicredits, b.blocked,
                   greatest(0, (SELECT coalesce(sum(amount), 0) FROM spent WHERE at > now() - interval
                       '60 minutes')),
                   greatest(0, (SELECT coalesce(sum(amount), 0) FROM spent
                                WHERE at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')),
                   s.hold_id, s.amount
            FROM credit_balance b LEFT JOIN settled s ON true
            WHERE b.account_id = $1
            """, [.int(account), .array(PostgresArray(holds))]
        ).rows
        guard let first = rows.first else { return nil }
        var settled: [SettledHold] = []
        for row in rows where try row.optionalText(8) != nil {
            settled.append(SettledHold(hold: try row.uuid(8), amount: try row.millicredits(9)))
        }
        return AccountSnapshot(
            balance: LedgerBalance(
                account: account, generation: try first.int(2), version: try first.int(1),
                balance: try first.millicredits(0)),
            gate: AccountGate(
                account: account, version: try first.int(3), floor: try first.millicredits(4),
                blocked: try first.bool(5)),
            spentLastHour: try first.millicredits(6), spentToday: try first.millicredits(7), settled: settled)
    }
}

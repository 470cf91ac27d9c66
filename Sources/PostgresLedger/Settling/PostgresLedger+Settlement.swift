import Metering

extension PostgresLedger: SettlementPosting {
    public func settle(_ batch: [Settlement]) async throws -> SettlementReceipt {
        guard !batch.isEmpty else { return SettlementReceipt(balances: []) }
        return try await self.pool.run(timeout: .seconds(30)) { connection in
            try SettlementRun(batch: batch).settle(on: connection)
        }
    }
}

/// The runner of `SettlementBisection` for one batch.
private struct SettlementRun {
    let batch: [Settlement]

    func settle(on connection: PostgresConnection) throws -> SettlementReceipt {
        var bisection = SettlementBisection(rows: self.batch.count)
        var balances: [AccountID: LedgerBalance] = [:]
        var receipt = SettlementReceipt(balances: [])
        var lastRefusal: PostgresError?
        while true {
            switch bisection.next() {
            case .post(let range):
                do {
                    receipt.conflicts += try self.post(range, on: connection, into: &balances)
                    bisection.posted()
                } catch let error as PostgresError where error.isPoison {
                    lastRefusal = error
                    bisection.refused()
                }
            case .quarantine(let row):
                try self.quarantine(self.batch[row], because: lastRefusal, on: connection)
                receipt.quarantined.append(self.batch[row].hold)
            case .done:
                receipt.balances = balances.values.sorted { $0.account < $1.account }
                return receipt
            }
        }
    }

    /// One autocommit statement; returns the number of conflicts that it recorded.
    private func post(
        _ range: Range<Int>, on connection: PostgresConnection,
        into balances: inout [AccountID: LedgerBalance]
    ) throws -> Int {
        let arrays = SettlementColumns(self.batch[range]).arrays
        let rows = try connection.retryingConcurrency {
            // A fresh name per attempt: exactly-once rests on the hold ids, never on the batch (P4).
            var parameters: PostgresParameters = [
                .uuid(PostgresLedger.freshID()), .uuid(PostgresLedger.freshID()),
            ]
            for array in arrays { parameters.append(.array(array)) }
            return try connection.run(SettlementColumns.statement, parameters).rows
        }
        for row in rows {
            let balance = try LedgerBalance(
                account: row.int(0), generation: row.int(3), version: row.int(2), balance: row.millicredits(1)
            )
            balances[balance.account] = balance
        }
        return try Int(rows.first?.int(4) ?? 0)
    }

    private func quarantine(
        _ row: Settlement, because refusal: PostgresError?, on connection: PostgresConnection
    ) throws {
        try connection.retryingConcurrency {
            try connection.run(
                """
                INSERT INTO settlement_quarantine (account_id, hold_id, digest, sql_state, payload)
                VALUES ($1, $2::uuid, $3, $4, $5) ON CONFLICT DO NOTHING
                """,
                [
                    .int(row.account), .uuid(row.hold), .int(row.digest),
                    .text(refusal?.sqlState?.code), .text(String(decoding: row.encode(), as: UTF8.self)),
                ])
        }
    }
}

import Metering

extension PostgresLedger: SettlementPosting {
    /// One statement; a batch with rows that the ledger refuses takes a second one, whatever their number (rule P5).
    public func settle(_ batch: [Settlement]) async throws -> SettlementReceipt {
        guard !batch.isEmpty else { return SettlementReceipt(balances: []) }
        return try await self.pool.run(timeout: .seconds(30)) { connection in
            let run = SettlementRun(batch: batch, connection: connection)
            do {
                return try run.whole()
            } catch let error as PostgresError where error.isPoison {
                return try run.inParts()
            }
        }
    }
}

extension PostgresLedger {
    public func reconnect() { self.pool.reconnect() }
}

/// The two ways of one batch into the ledger. Each is an autocommit statement, sent again after a deadlock or the like,
/// when nothing of it remains.
private struct SettlementRun {
    let batch: [Settlement]
    let connection: PostgresConnection

    /// All rows, or none: throws what the ledger has against any of them.
    func whole() throws -> SettlementReceipt {
        let (arrays, stored) = (SettlementColumns(self.batch).arrays, StoredReplyColumns(self.batch))
        let rows = try self.connection.retryingConcurrency {
            // A fresh name per attempt: exactly-once rests on the hold ids, never on the batch (P4).
            var parameters: PostgresParameters = [
                .uuid(PostgresLedger.freshID()), .uuid(PostgresLedger.freshID()),
            ]
            for array in arrays { parameters.append(.array(array)) }
            return try self.run(SettlementColumns.statement, parameters, stored)
        }
        var receipt = SettlementReceipt(balances: try rows.map(Self.balance).sorted(by: Self.byAccount))
        receipt.conflicts = try Int(rows.first?.int(4) ?? 0)
        return receipt
    }

    /// The rows that the ledger accepts; the others are in quarantine when this returns.
    func inParts() throws -> SettlementReceipt {
        var parameters = PostgresParameters()
        for array in SettlementColumns(self.batch).arrays { parameters.append(.array(array)) }
        var payloads = PostgresArray()
        for row in self.batch { payloads.append(String(decoding: row.encode(), as: UTF8.self)) }
        parameters.append(.array(payloads))
        let stored = StoredReplyColumns(self.batch)
        let rows = try self.connection.retryingConcurrency {
            try self.run(SettlementColumns.statementInParts, parameters, stored)
        }
        // Without any account that is known there is one row, and no balance in it.
        let known = try rows.filter { try $0.optionalInt(0) != nil }
        var receipt = SettlementReceipt(balances: try known.map(Self.balance).sorted(by: Self.byAccount))
        guard let first = rows.first else {
            throw PostgresError.unexpectedResult("a batch without an answer")
        }
        receipt.conflicts = Int(try first.int(4))
        receipt.quarantined = try self.holds(at: first.text(5))
        return receipt
    }

    private func run(
        _ statement: String, _ parameters: PostgresParameters, _ stored: StoredReplyColumns
    ) throws(PostgresError) -> [PostgresRow] {
        guard !stored.isEmpty else { return try self.connection.run(statement, parameters).rows }
        var parameters = parameters
        let first = parameters.offsets.count + 1
        for array in stored.arrays { parameters.append(.array(array)) }
        let whole = StoredReplyColumns.clause(before: statement, parametersFrom: first)
        return try self.connection.run(whole, parameters).rows
    }

    /// - Parameter places: `{1,17}`, from 1.
    private func holds(at places: String) throws -> [HoldID] {
        try places.dropFirst().dropLast().split(separator: ",").map { text in
            guard let place = Int(text), self.batch.indices.contains(place - 1) else {
                throw PostgresError.unexpectedResult("a refused row that is not in the batch")
            }
            return self.batch[place - 1].hold
        }
    }

    private static func balance(_ row: PostgresRow) throws -> LedgerBalance {
        try LedgerBalance(
            account: row.int(0), generation: row.int(3), version: row.int(2), balance: row.millicredits(1))
    }

    private static func byAccount(_ one: LedgerBalance, _ other: LedgerBalance) -> Bool {
        one.account < other.account
    }
}

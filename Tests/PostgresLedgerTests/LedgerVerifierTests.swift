import Metering
import Testing

@testable import PostgresLedger

/// A verifier that finds nothing in a clean ledger proves little; it must find each corruption by name.
@Suite(.serialized) struct LedgerVerifierTests {
    struct Corruption: Sendable, CustomTestStringConvertible {
        var sql: String
        var finding: String
        var testDescription: String { self.finding + ": " + self.sql.prefix(60) }
    }

    static let corruptions = [
        Corruption(
            sql: "UPDATE contra_line SET amount_millicredits = amount_millicredits + 1",
            finding: "I1 every transaction sums to zero"),
        Corruption(
            sql:
                """
                INSERT INTO ledger_transaction (id, kind, source_ref)
                VALUES (gen_random_uuid(), 'grant', 'x')
                """,
            finding: "I1 every transaction has lines"),
        Corruption(
            sql: "UPDATE credit_balance SET balance_millicredits = balance_millicredits + 1",
            finding: "I2 balance is the sum of the ledger, versions gapless"),
        Corruption(
            sql: "UPDATE credit_balance SET version = version + 1",
            finding: "I2 balance is the sum of the ledger, versions gapless"),
        Corruption(sql: "DELETE FROM credit_ledger WHERE version = 2", finding: "I3 balance_after chains"),
        Corruption(
            sql: "UPDATE credit_ledger SET balance_after_millicredits = 0 WHERE version = 1",
            finding: "I3 balance_after chains"),
        Corruption(
            sql:
                """
                UPDATE usage_events SET charged_millicredits = charged_millicredits + 1
                WHERE kind = 'final'
                """,
            finding: "I4 usage equals deductions per batch and account"),
        Corruption(
            sql: "DELETE FROM usage_events WHERE kind = 'final'",
            finding: "I4 usage equals deductions per batch and account"),
        Corruption(
            sql: """
                INSERT INTO usage_events SELECT (r).* FROM (SELECT jsonb_populate_record(e,
                    jsonb_build_object(
                    'account_id', o.account_id, 'user_id', o.user_id, 'charged_millicredits', 0)) AS r
                    FROM usage_events e, account o WHERE o.user_id = 'other' AND e.kind = 'final') copies
                """, finding: "I5 every hold has at most one settlement"),
        Corruption(
            sql: "UPDATE usage_correction SET charged_millicredits = charged_millicredits + 1",
            finding: "I5 corrections add up"),
        Corruption(
            sql: "UPDATE usage_events SET kind = 'waived' WHERE kind = 'final'",
            finding: "free outcomes are free"),
        Corruption(
            sql: "UPDATE usage_events SET user_id = 'nobody' WHERE kind = 'final'", finding: "names agree"),
        Corruption(
            sql: "UPDATE credit_ledger SET type = 'deduction' WHERE reference_type = 'grant'",
            finding: "I4 only settlements deduct"),
        Corruption(
            sql: "UPDATE credit_ledger SET reference_type = 'elsewhere' WHERE type = 'deduction'",
            finding: "I4 only settlements deduct"),
        Corruption(
            sql: "DELETE FROM usage_events WHERE kind = 'orphan'",
            finding: "I5 every correction has its settlement"),
        Corruption(
            sql: """
                INSERT INTO credit_ledger SELECT (r).* FROM (SELECT jsonb_populate_record(l,
                    jsonb_build_object('version', 100)) AS r FROM credit_ledger l WHERE version = 1) copies
                """, finding: "I6 every grant has one line"),
        Corruption(
            sql: "ALTER TABLE usage_events DROP CONSTRAINT usage_events_pkey CASCADE",
            finding: "exactly-once keys are in place"),
        Corruption(
            sql: "ALTER TABLE usage_correction DROP CONSTRAINT usage_correction_pkey",
            finding: "exactly-once keys are in place"),
        Corruption(
            sql: "ALTER TABLE account DISABLE TRIGGER account_never_deleted",
            finding: "append-only tables refuse changes"),
        Corruption(sql: "DELETE FROM credit_lot", finding: "I6 every positive grant has its lot"),
        Corruption(
            sql: "UPDATE credit_lot SET paid_cents = 1", finding: "I6 every positive grant has its lot"),
        Corruption(
            sql: "ALTER TABLE credit_ledger DISABLE TRIGGER credit_ledger_append_only",
            finding: "append-only tables refuse changes"),
        Corruption(
            sql: "UPDATE credit_balance SET balance_millicredits = balance_millicredits - 1",
            finding: "balance reconciliation"),
        Corruption(
            sql:
                """
                UPDATE usage_events SET charged_millicredits = charged_millicredits + 1
                WHERE kind = 'final'
                """,
            finding: "usage and ledger reconciliation"),
    ]

    /// Triggers and foreign keys do not run for a replica: that is how a corruption gets in.
    @Test func eachPlantedCorruptionIsFoundByName() async throws {
        let database = try await TestDatabase.migrated()
        let outcomes = Outcomes()
        let account = try await database.account("user", balance: 1000)
        _ = try await database.account("other")
        let hold = Outcomes.hold()
        _ = try await database.ledger.settle([
            outcomes.final(account, 100), outcomes.orphan(account, 10, hold: hold), outcomes.void(account),
        ])
        _ = try await database.ledger.settle([outcomes.final(account, 30, hold: hold)])
        #expect(try await database.verifier.verify() == [])
        for corruption in Self.corruptions {
            let found = try await self.findings(after: corruption.sql, in: database)
            #expect(found.contains(corruption.finding), "\(corruption.sql)")
        }
        #expect(try await database.verifier.verify() == [])
    }

    /// Plants the corruption in a transaction, verifies inside it, and rolls back.
    private func findings(after sql: String, in database: TestDatabase) async throws -> [String] {
        try await database.pool.run { connection in
            try connection.run("BEGIN")
            defer { _ = try? connection.run("ROLLBACK") }
            try connection.runScript("SET LOCAL session_replication_role = replica")
            try connection.runScript(sql)
            return try (LedgerCheck.all + LedgerCheck.runbook).compactMap {
                try LedgerVerifier.finding($0, on: connection)?.check
            }
        }
    }

    @Test func findingsAreBoundedAndCounted() async throws {
        let database = try await TestDatabase.migrated()
        var accounts: [AccountID] = []
        for number in 0..<30 { accounts.append(try await database.account("user\(number)", balance: 5)) }
        try await database.execute("UPDATE credit_balance SET balance_millicredits = 6")
        let finding = try #require(
            try await database.verifier.verify().first { $0.check.hasPrefix("I2") })
        #expect(finding.total == 30)
        #expect(finding.rows.count == LedgerVerifier.rowsMax)
        #expect(finding.severity == .violation)
        #expect(try await database.verifier.reconcile().map(\.check) == ["balance reconciliation"])
        let balances = try await database.verifier.balances(of: [accounts[0], accounts[1], 4711])
        #expect(balances.map(\.balance.value) == [6, 6])
    }
}

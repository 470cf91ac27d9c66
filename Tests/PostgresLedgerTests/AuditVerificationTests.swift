import Billing
import Testing

@testable import PostgresLedger

/// The log as the database's own function wrote it, and as somebody with access to the database made it.
@Suite struct AuditVerificationTests {
    private static let note = ChangeNote(actor: "cli:test", reason: "it is a tést", request: nil)

    private func written() async throws -> TestDatabase {
        let database = try await TestDatabase.migrated()
        for number in 1...6 {
            _ = try await database.pool.run { connection in
                try connection.transaction { connection in
                    try connection.audit(
                        Self.note, "test.change", "subject:\(number)",
                        before: number == 1 ? nil : #"{"ä": 1.50}"#,
                        after: #"{"number":  \#(number)}"#)
                }
            }
        }
        return database
    }

    @Test func whatTheFunctionWroteIsWhole() async throws {
        let database = try await self.written()
        let verdict = try await database.ledger.verifyAudit()
        #expect(verdict.isWhole && verdict.entries == 6)
        let (number, hash) = try await database.ledger.auditHead()
        #expect(number == 6 && hash == verdict.head)
        let empty = try await TestDatabase.migrated().ledger.verifyAudit()
        #expect(empty.isWhole && empty.entries == 0)
    }

    @Test(
        arguments: [
            ("UPDATE audit_log SET reason = 'another' WHERE entry_id = 3", .broken(number: 3, .wrongHash)),
            (
                "UPDATE audit_log SET at = at + interval '1 microsecond' WHERE entry_id = 3",
                .broken(number: 3, .wrongHash)
            ),
            ("DELETE FROM audit_log WHERE entry_id = 3", .broken(number: 3, .wrongNumber)),
            ("DELETE FROM audit_log WHERE entry_id > 4", .wrongHead(number: 6)),
            ("DELETE FROM audit_log", .wrongHead(number: 6)),
            // Well chained, but past the function.
            (
                """
                INSERT INTO audit_log SELECT 7, at, actor, action, subject, before_json, after_json, reason, request_id,
                    hash, audit_digest(hash, 7, at, actor, action, subject, before_json, after_json, reason, request_id)
                FROM audit_log WHERE entry_id = 6
                """, .wrongHead(number: 6)
            ),
            (
                "INSERT INTO audit_log SELECT 7, at, actor, action, subject, before_json, after_json, reason, request_id, hash, hash FROM audit_log WHERE entry_id = 6",
                .broken(number: 7, .wrongHash)
            ),
            (
                "INSERT INTO audit_log SELECT 0, at, actor, action, subject, before_json, after_json, reason, request_id, hash, hash FROM audit_log WHERE entry_id = 6",
                .broken(number: 1, .wrongNumber)
            ),
            (
                "UPDATE audit_log SET entry_id = -2 WHERE entry_id = 2; UPDATE audit_log SET entry_id = 2 WHERE entry_id = 3; UPDATE audit_log SET entry_id = 3 WHERE entry_id = -2",
                .broken(number: 2, .wrongPrevious)
            ),
        ] as [(String, AuditVerdict.Problem)])
    func whatSomebodyChangedIsFound(_ change: String, _ problem: AuditVerdict.Problem) async throws {
        let database = try await self.written()
        try await database.execute("ALTER TABLE audit_log DISABLE TRIGGER USER; \(change)")
        let verdict = try await database.ledger.verifyAudit()
        #expect(verdict.problems == [problem])
    }

    /// Whoever cuts the log and sets its head back leaves a log that is whole in itself.
    @Test func aCutLogLacksTheHeadThatWasNoted() async throws {
        let database = try await self.written()
        let noted = try await database.ledger.verifyAudit().head
        try await database.execute(
            """
            ALTER TABLE audit_log DISABLE TRIGGER USER;
            DELETE FROM audit_log WHERE entry_id > 4;
            UPDATE audit_head SET (entry_id, hash) = (SELECT entry_id, hash FROM audit_log WHERE entry_id = 4)
            """)
        #expect(try await database.ledger.verifyAudit().isWhole)
        let bytes = stride(from: 0, to: 64, by: 2).map { index -> UInt8 in
            UInt8(noted.dropFirst(index).prefix(2), radix: 16) ?? 0
        }
        let verdict = try await database.ledger.verifyAudit(heads: [bytes])
        #expect(verdict.problems == [.unknownHead(noted)])
    }

    @Test func entriesAreListedByWhatIsAskedFor() async throws {
        let database = try await self.written()
        let ledger = database.ledger
        #expect(try await ledger.auditEntries(AuditQuery(limit: 10)).map(\.number) == [6, 5, 4, 3, 2, 1])
        #expect(try await ledger.auditEntries(AuditQuery(before: 3, limit: 1)).map(\.number) == [2])
        #expect(
            try await ledger.auditEntries(AuditQuery(subject: "subject:5", limit: 9)).map(\.number) == [5])
        #expect(try await ledger.auditEntries(AuditQuery(actor: "nobody", limit: 9)).isEmpty)
        #expect(try await ledger.auditEntries(AuditQuery(action: "test.change", limit: 9)).count == 6)
    }
}

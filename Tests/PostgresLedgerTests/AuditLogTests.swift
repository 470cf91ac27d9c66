import Billing
import Testing

@testable import PostgresLedger

@Suite struct AuditLogTests {
    private let note = ChangeNote(actor: "cli:test", reason: "it is a test", request: "r1")

    /// Two writers at once, many times: no number is missing, and each entry names the hash of the one before.
    @Test func entriesFormAChain() async throws {
        let database = try await TestDatabase.migrated(poolSize: 4)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask { [note] in
                    for number in 0..<10 {
                        try await database.pool.run { connection in
                            _ = try connection.transaction { connection in
                                try connection.audit(
                                    note, "test.change", "writer:\(writer)", before: nil,
                                    after: #"{"number": \#(number)}"#)
                            }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        let rows = try await database.pool.run { connection in
            try connection.run(
                """
                SELECT entry_id, encode(previous_hash, 'hex'), encode(hash, 'hex'),
                       hash = audit_digest(previous_hash, entry_id, at, actor, action, subject, before_json,
                           after_json, reason, request_id)
                FROM audit_log ORDER BY entry_id
                """
            ).rows.map { try ($0.int(0), $0.text(1), $0.text(2), $0.bool(3)) }
        }
        #expect(rows.map(\.0) == Array(1...40))
        for (one, next) in zip(rows, rows.dropFirst()) { #expect(next.1 == one.2) }
        let isWhole = rows.allSatisfy { $0.3 }
        #expect(isWhole)
    }

    @Test func aChangeThatIsTakenBackLeavesNothing() async throws {
        struct Stop: Error {}
        let database = try await TestDatabase.migrated()
        await #expect(throws: Stop.self) {
            try await database.pool.run { [note] connection in
                try connection.transaction { connection in
                    try connection.audit(note, "test.change", "nothing", before: nil, after: nil)
                    throw Stop()
                }
            }
        }
        let left = try await database.pool.run {
            try $0.run(
                "SELECT count(*), max(h.entry_id) FROM audit_head h LEFT JOIN audit_log USING (entry_id)"
            )
            .one().int(1)
        }
        #expect(left == 0)
    }

    @Test(arguments: ["UPDATE audit_log SET reason = 'x'", "DELETE FROM audit_log", "DELETE FROM audit_head"])
    func nothingIsChangedLater(_ statement: String) async throws {
        let database = try await TestDatabase.migrated()
        await #expect(throws: PostgresError.self) {
            try await database.pool.run { _ = try $0.run(statement) }
        }
    }
}

import Metering
import Testing

@testable import PostgresLedger

/// The ledger knows for 30 days whose a response is, from the moment in which it was settled.
@Suite(.serialized) struct StoredResponsesTests {
    let outcomes = Outcomes()

    private static func id(_ text: String) throws -> ResponseID { try #require(ResponseID(text)) }

    private func settlement(
        _ account: AccountID, _ amount: Int64, _ id: String, context: ContextTokens? = nil
    ) throws -> Settlement {
        var outcome = self.outcomes.final(account, amount)
        outcome.endpoint = .responses
        outcome.stored = StoredReply(id: try Self.id(id), context: context)
        return outcome
    }

    private func find(_ id: String, in database: TestDatabase) async throws -> StoredResponse? {
        let id = try Self.id(id)
        return try await withCheckedThrowingContinuation { waiting in
            database.ledger.storedResponse(id) { waiting.resume(with: $0) }
        }
    }

    @Test func aSettledResponseHasItsOwner() async throws {
        let database = try await TestDatabase.migrated()
        let (ada, eve) = (try await database.account("ada", balance: 100), try await database.account("eve"))
        let context = ContextTokens(input: 120, output: 30)
        let batch = [
            try self.settlement(ada, 7, "resp_a", context: context), self.outcomes.final(ada, 2),
            try self.settlement(eve, 0, "resp_e"),
        ]
        let receipt = try await database.ledger.settle(batch)
        #expect(receipt.conflicts == 0 && receipt.balances.map(\.balance.value) == [91, 0])
        let expected = StoredResponse(
            id: try Self.id("resp_a"), account: ada, model: "gpt-4o-mini", context: context)
        #expect(try await self.find("resp_a", in: database) == expected)
        #expect(try await self.find("resp_e", in: database)?.account == eve)
        #expect(try await self.find("resp_e", in: database)?.context == nil)
        #expect(try await self.find("resp_e", in: database)?.isCharged == false)
        var searched = try self.settlement(ada, 0, "resp_s")
        searched.stored?.isCharged = true
        _ = try await database.ledger.settle([searched])
        let found = try await self.find("resp_s", in: database)
        #expect(found?.isCharged == true && found?.context == nil)
        #expect(try await self.find("resp_x", in: database) == nil)

        // All of it again, as after an unknown commit; and a later claim of another account changes nothing.
        let again = try await database.ledger.settle(batch)
        #expect(again.conflicts == 0 && again.balances.map(\.balance.value) == [91, 0])
        let claims = [try self.settlement(eve, 0, "resp_a"), try self.settlement(eve, 0, "resp_a")]
        _ = try await database.ledger.settle(claims)
        #expect(try await self.find("resp_a", in: database) == expected)
        #expect(try await database.integer("SELECT count(*) FROM stored_responses") == 3)
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// What the ledger refuses goes another way, and takes no response with it.
    @Test func poisonBesideItTakesNoOwnerAway() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("ada", balance: 100)
        let poison = try self.settlement(999_999, 5, "resp_p")
        let good = try self.settlement(account, 5, "resp_g", context: ContextTokens(input: 1, output: 2))
        let receipt = try await database.ledger.settle([poison, good])
        #expect(receipt.quarantined == [poison.hold] && receipt.balances.map(\.balance.value) == [95])
        #expect(try await self.find("resp_g", in: database)?.account == account)
        #expect(try await self.find("resp_g", in: database)?.context == ContextTokens(input: 1, output: 2))
    }

    /// OpenAI keeps a response for 30 days; the table must not grow for ever, nor be emptied in one transaction.
    @Test func oldResponsesAreForgottenInBatches() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("ada", balance: 100)
        let batch = try (0..<7).map { try self.settlement(account, 1, "resp_\($0)") }
        _ = try await database.ledger.settle(batch)
        #expect(try await database.ledger.forgetStoredResponses() == 0)
        try await database.execute(
            """
            UPDATE stored_responses SET created_at = now() - interval '29 days 23 hours' WHERE response_id = 'resp_0';
            UPDATE stored_responses SET created_at = now() - interval '30 days 1 hour' WHERE response_id > 'resp_1'
            """)
        #expect(try await database.ledger.forgetStoredResponses(limit: 3) == 3)
        #expect(try await database.ledger.forgetStoredResponses(limit: 3) == 2)
        let left = try await database.pool.run {
            try $0.run("SELECT response_id FROM stored_responses ORDER BY 1").rows.map { try $0.text(0) }
        }
        #expect(left == ["resp_0", "resp_1"])
    }
}

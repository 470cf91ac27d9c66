import Metering

/// Whose the responses are that upstream keeps, for as long as it keeps them.
extension PostgresLedger {
    /// OpenAI keeps a response for 30 days.
    private static let storedDays = 30

    /// Whoever made it; nil: the ledger knows no such response. `reply` is called exactly once, on any thread.
    public func storedResponse(
        _ id: ResponseID,
        reply: @escaping @Sendable (Result<StoredResponse?, DirectoryFailure>) -> Void
    ) {
        self.pool.submit(timeout: .seconds(2)) { connection in
            try connection.run(
                """
                SELECT account_id, model, input_tokens, output_tokens, charged FROM stored_responses
                WHERE response_id = $1
                """, [.text(id.text)]
            ).rows.first.map { try Self.storedResponse(id, $0) }
        } completion: { result in
            reply(result.mapError { _ in DirectoryFailure.unreachable })
        }
    }

    private static func storedResponse(_ id: ResponseID, _ row: PostgresRow) throws -> StoredResponse {
        var response = StoredResponse(
            id: id, account: try row.int(0), model: try row.text(1), isCharged: try row.bool(4))
        if let input = try row.optionalInt(2), let output = try row.optionalInt(3) {
            response.context = ContextTokens(input: input, output: output)
        }
        return response
    }

    /// Forgets what upstream has forgotten, at most `limit` of them, the oldest first; how many it were. To be called
    /// again for as long as it is `limit`.
    public func forgetStoredResponses(limit: Int = 5_000) async throws -> Int {
        try await self.pool.run(timeout: .seconds(30)) { connection in
            try connection.run(
                """
                DELETE FROM stored_responses WHERE response_id = ANY (ARRAY(
                    SELECT response_id FROM stored_responses
                    WHERE created_at < now() - make_interval(days => $1::int) ORDER BY created_at LIMIT $2::bigint))
                """, [.int(Int64(Self.storedDays)), .int(Int64(limit))]
            ).affected
        }
    }
}

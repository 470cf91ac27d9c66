extension PostgresLedger {
    /// Reads a list for a person or a page, on one snapshot unless told. The transaction sets the limits of the configuration on the
    /// server, behind PgBouncer too: a statement for which nobody waits any more ends there as well.
    func list<Value: Sendable>(
        _ mode: PostgresConnection.TransactionMode = .readSnapshot,
        _ body: @escaping @Sendable (PostgresConnection) throws -> Value
    ) async throws -> Value {
        try await self.pool.run { try $0.transaction(mode, body) }
    }
}

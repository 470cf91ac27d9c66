import Metering

extension PostgresLedger {
    /// A transaction in which something is begun that a ledger which was set back would not know of. On its own connection
    /// it is asked first: another one may be of another primary. Before the lock of any row: raising the generation
    /// takes every recharge.
    ///
    /// - Parameter heard: nil: nothing was heard of the ledger yet.
    /// - Throws: `ReplacedLedger` when it is older than what was heard of it and cannot have been set back.
    func onHeardLedger<Value: Sendable>(
        _ heard: LedgerPosition?, _ body: @escaping @Sendable (PostgresConnection) throws -> Value
    ) async throws -> Value {
        do {
            return try await self.pool.run { connection in
                try connection.transaction { connection in
                    try self.confirm(heard, on: connection)
                    return try body(connection)
                }
            }
        } catch let replaced as ReplacedLedger {
            // Nothing else may be decided there either.
            self.reconnect()
            throw replaced
        }
    }

    private func confirm(_ heard: LedgerPosition?, on connection: PostgresConnection) throws {
        guard let heard else {
            try connection.run("SELECT ledger_generation()")
            return
        }
        let row = try connection.run(
            """
            SELECT ledger_origin(), ledger_timeline(), generation, ledger_flushed(),
                   follow_ledger_position($1, $2, $3, $4)
            FROM ledger_meta
            """,
            [.text(heard.origin), .int(heard.timeline), .int(heard.generation), .int(heard.flushed)]
        ).one()
        let before = LedgerPosition(
            origin: try row.text(0), timeline: try row.int(1), generation: try row.int(2),
            flushed: try row.int(3))
        let generation = try row.int(4)
        guard generation >= heard.generation else { throw ReplacedLedger() }
        guard generation > before.generation, before.isSetBack(from: heard) else { return }
        // Heartbeats do not see it any more: the generation is above what was heard.
        self.logger.error(
            "the ledger was set back; it has a new generation, and the journals are posted again",
            metadata: [
                "generation": "\(generation)", "knownGeneration": "\(heard.generation)",
                "lostBytes": "\(heard.flushed - before.flushed)",
            ])
    }
}

import Billing
import Logging
import Metering
import PostgresLedger

/// What an operator changes while the proxy runs.
final class ControlParts: Sendable {
    /// In force on this instance.
    let controls: LedgerControls
    /// Where people change them.
    let desk: FlagBook
    private let pool: PostgresPool
    private let deskPool: PostgresPool

    /// Reads the flags: nothing is admitted under the environment's values alone.
    init(_ start: Controls, database: PostgresConfiguration, logger: Logger) async throws {
        // A kill switch must not queue behind anything.
        self.pool = PostgresPool(database, size: 1, logger: logger)
        self.deskPool = PostgresPool(database, size: 1, logger: logger)
        self.controls = LedgerControls(pool: self.pool, start: start, logger: logger)
        self.desk = FlagBook(pool: self.deskPool, start: start)
        try await self.controls.load()
    }

    /// What is connected may not be the primary any more.
    func reconnect() {
        self.pool.reconnect()
        self.deskPool.reconnect()
    }

    func shutdown() {
        self.pool.shutDownAndWait()
        self.deskPool.shutDownAndWait()
    }
}

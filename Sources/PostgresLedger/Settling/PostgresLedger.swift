import Glibc
import Logging
import Metering

/// The ledger: what decides money. Everything here goes through `PostgresPool`, on the primary.
public struct PostgresLedger: Sendable {
    let pool: PostgresPool
    let logger: Logger
    let snapshots: SnapshotReader

    /// - Parameter pool: connections to a database whose schema `Migrator.check` accepted.
    public init(pool: PostgresPool, logger: Logger) {
        self.pool = pool
        self.snapshots = SnapshotReader(pool: pool)
        self.logger = logger
    }

    /// A UUIDv7 by this machine's clock, for transactions; the order is a convenience, the randomness what
    /// counts.
    static func freshID() -> HoldID {
        var random = SystemRandomNumberGenerator()
        return HoldID(
            millisecondsSinceEpoch: UInt64(clamping: self.wallMilliseconds()), randomA: random.next(),
            randomB: random.next())
    }

    /// This machine's wall clock, milliseconds since 1970.
    static func wallMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Creates coming partitions of `usage_events`; call it at start and once an hour.
    ///
    /// - Parameter milliseconds: since 1970; nil is the database's clock.
    public func ensurePartitions(now milliseconds: Int64? = nil) async throws -> PartitionReport {
        try await self.pool.run(timeout: .seconds(60)) { try UsagePartitions.ensure($0, at: milliseconds) }
    }
}

extension PostgresConnection {
    /// Runs `body` again, after a short random pause, when the server reports a deadlock, a serialisation
    /// failure or a lock time-out: nothing of the attempt remains.
    @discardableResult
    func retryingConcurrency<Value>(attempts: Int = 6, _ body: () throws -> Value) throws -> Value {
        for attempt in 1... {
            do {
                return try body()
            } catch let error as PostgresError {
                guard error.isConcurrency, attempt < attempts else { throw error }
                usleep(UInt32.random(in: 1_000...(8_000 << UInt32(min(attempt, 4)))))
            }
        }
        preconditionFailure("the loop above returns or throws")
    }
}

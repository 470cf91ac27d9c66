import Billing
import Metering

/// What one heartbeat learned, in one round trip.
public struct Heartbeat: Sendable, Hashable {
    /// The database's clock, milliseconds since 1970.
    public var databaseMilliseconds: Int64
    /// Its generation (rule P7) rises when the ledger was restored or a standby promoted.
    public var position: LedgerPosition
    /// Heartbeat counter of every boot that moved it within 7 days, the caller's included. Counters are compared
    /// for change only, on the observer's own monotonic clock (rule F1); a boot that is not named never registered
    /// or is silent for 7 days.
    public var counters: [BootID: Int64]
}

extension PostgresLedger {
    /// Registers this run or moves its heartbeat, reads everyone's counters, and forgets runs that were silent for
    /// 7 days. Throws when it is not known to have counted; then the observer learns nothing (rule F1).
    public func heartbeat(_ boot: BootID, hostname: String) async throws -> Heartbeat {
        try await self.pool.run { connection in
            let rows = try connection.run(
                Self.heartbeatStatement, [.uuid(boot), .text(hostname)]
            ).rows
            var counters: [BootID: Int64] = [:]
            for row in rows { counters[try row.uuid(0)] = try row.int(1) }
            guard let first = rows.first else {
                throw PostgresError.unexpectedResult("a heartbeat without its own row")
            }
            return Heartbeat(
                databaseMilliseconds: try first.int(3),
                position: LedgerPosition(
                    origin: try first.text(4), timeline: try first.int(5), generation: try first.int(2),
                    flushed: try first.int(6)),
                counters: counters)
        }
    }

    /// One statement. A row that its owner moves just now is locked, and so not taken for silent.
    private static let heartbeatStatement = """
        WITH beat AS (
            INSERT INTO proxy_instance AS p (boot_id, hostname) VALUES ($1::uuid, $2)
            ON CONFLICT (boot_id) DO UPDATE SET heartbeat = p.heartbeat + 1, heartbeat_at = clock_timestamp()
            RETURNING p.boot_id, p.heartbeat),
        silent AS (
            SELECT boot_id FROM proxy_instance
            WHERE heartbeat_at < now() - interval '7 days' AND boot_id <> $1::uuid
            FOR UPDATE SKIP LOCKED),
        purged AS (DELETE FROM proxy_instance p USING silent s WHERE p.boot_id = s.boot_id)
        SELECT known.boot_id, known.heartbeat, (SELECT ledger_generation()),
               (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
               ledger_origin(), ledger_timeline(), ledger_flushed()
        FROM (
            SELECT boot_id, heartbeat FROM beat
            UNION ALL
            SELECT boot_id, heartbeat FROM proxy_instance
            WHERE heartbeat_at >= now() - interval '7 days' AND boot_id <> $1::uuid) known
        """

    /// The ledger's generation. Compares timeline and origin of the database with those of the generation and
    /// raises it when they moved, once however many instances notice (rule P7). Call it at start and after a
    /// reconnect; heartbeats, settlements and snapshots answer with the generation as well.
    ///
    /// Next, when it rose: a new epoch for the hold store, and every journal posts its last 72 hours again.
    public func checkGeneration() async throws -> Int64 {
        try await self.pool.run { try $0.run("SELECT ledger_generation()").one().int(0) }
    }

    /// Tells the ledger that it had come so far. Returns its generation, which was raised if it has not, and if nobody
    /// told it before; every account is loaded again everywhere then, and the journals are posted again.
    public func follow(_ heard: LedgerPosition) async throws -> Int64 {
        try await self.pool.run { connection in
            try connection.run(
                "SELECT follow_ledger_position($1, $2, $3, $4)",
                [.text(heard.origin), .int(heard.timeline), .int(heard.generation), .int(heard.flushed)]
            ).one().int(0)
        }
    }

    /// Starts a new generation (rule P7) whatever the timeline says.
    ///
    /// - Parameter note: of a person who says so, for the audit log; nil: what is restored tells it.
    /// - Returns: the generation before, and the new one.
    @discardableResult
    public func startNewGeneration(note: ChangeNote? = nil) async throws -> (old: Int64, new: Int64) {
        try await self.pool.run { connection in
            try connection.transaction { connection in
                let row = try connection.run("SELECT generation FROM ledger_meta FOR UPDATE").one()
                let (old, new) = (
                    try row.int(0), try connection.run("SELECT new_ledger_generation()").one().int(0)
                )
                if let note {
                    try connection.audit(
                        note, "ledger.new-generation", "ledger", before: #"{"generation": \#(old)}"#,
                        after: #"{"generation": \#(new)}"#)
                }
                return (old, new)
            }
        }
    }
}

/// Nothing is to be learned from it.
public struct ReplacedLedger: Error, CustomStringConvertible {
    public init() {}

    public var description: String {
        "the ledger is older than the one that this host knew: a primary that was replaced, or a restored one "
            + "(then: `tollgate ledger new-generation`)"
    }
}

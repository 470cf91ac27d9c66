import Logging
import Metering
import Synchronization

/// Changes of balances and gates that the control plane committed (rule G2), from NOTIFY on a connection of
/// its own.
///
/// NOTIFY is lost while nobody listens, so every (re)connection reads the accounts that changed since the
/// last contact, and 60 s before (rule G3).
public final class ChangeFeed: Sendable {
    public typealias Change = (balance: LedgerBalance, gate: AccountGate)

    /// Newest balance and gate of each account that changed. One consumer. When it lags by more than 65,536
    /// changes the oldest are dropped; every later posting carries the newer balance.
    public let changes: AsyncStream<Change>

    private let continuation: AsyncStream<Change>.Continuation
    private let configuration: PostgresConfiguration
    private let logger: Logger
    private let directoryChanged: @Sendable () -> Void
    private let flagsChanged: @Sendable () -> Void
    private let stopped = Atomic(false)
    private let connections = Atomic(0)

    /// - Parameters:
    ///   - configuration: `DATABASE_DIRECT_URL`; LISTEN does not work through PgBouncer in transaction mode.
    ///   - directoryChanged: called when keys or accounts changed (`LedgerDirectory.nudge`).
    ///   - flagsChanged: called when flags changed (`LedgerControls.nudge`).
    public init(
        _ configuration: PostgresConfiguration, logger: Logger,
        directoryChanged: @escaping @Sendable () -> Void, flagsChanged: @escaping @Sendable () -> Void = {}
    ) {
        self.configuration = configuration
        self.logger = logger
        self.directoryChanged = directoryChanged
        self.flagsChanged = flagsChanged
        (self.changes, self.continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(65_536))
    }

    /// Listens until the task is cancelled; then `changes` ends.
    public func run() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { done in
                DedicatedThread.start {
                    ChangeListener(self.configuration, logger: self.logger, feed: self).run()
                    done.resume()
                }
            }
        } onCancel: {
            self.stopped.store(true, ordering: .releasing)
        }
        self.continuation.finish()
    }

    /// Connections made so far.
    public var connectionCount: Int { self.connections.load(ordering: .relaxed) }

    fileprivate var isStopped: Bool { self.stopped.load(ordering: .acquiring) }
    fileprivate func connected() { self.connections.wrappingAdd(1, ordering: .relaxed) }
    fileprivate func publish(_ change: Change) { self.continuation.yield(change) }
    fileprivate func announceDirectory() { self.directoryChanged() }
    fileprivate func announceFlags() { self.flagsChanged() }
}

/// The listening thread of a feed.
private final class ChangeListener {
    /// How far back the first connection of a process looks: whoever blocked an account while no proxy ran.
    private static let firstLookBackSeconds: Int64 = 24 * 3600
    private static let overlapSeconds: Int64 = 60
    /// A quiet connection is asked for a sign of life this often.
    private static let quietMax: Duration = .seconds(5)
    private static let pollInterval: Duration = .milliseconds(100)

    private let configuration: PostgresConfiguration
    private let logger: Logger
    private let feed: ChangeFeed
    private let clock = ContinuousClock()
    private var backOff = BackOff(from: .milliseconds(50), to: .seconds(1))
    /// Database time of the last contact, microseconds since 1970.
    private var lastSeen: Int64?

    init(_ configuration: PostgresConfiguration, logger: Logger, feed: ChangeFeed) {
        var configuration = configuration
        configuration.applicationName += " listener"
        self.configuration = configuration
        self.logger = logger
        self.feed = feed
    }

    func run() {
        while !self.feed.isStopped {
            guard self.backOff.isDue(self.clock.now) else {
                sleepThread(min(Self.pollInterval, self.backOff.wait(self.clock.now)))
                continue
            }
            do {
                try self.listen()
            } catch {
                self.backOff.failed(self.clock.now)
                self.logger.warning("change feed interrupted", metadata: ["error": "\(error)"])
            }
        }
    }

    private func listen() throws {
        let connection = try PostgresConnection(self.configuration)
        defer { connection.close() }
        try connection.run("LISTEN account_changed")
        try connection.run("LISTEN directory_changed")
        try connection.run("LISTEN flags_changed")
        self.backOff.succeeded()
        // After LISTEN, so nothing falls between.
        try self.catchUp(connection)
        self.feed.connected()
        self.feed.announceDirectory()
        self.feed.announceFlags()
        var lastAnswer = self.clock.now
        while !self.feed.isStopped {
            let arrived = try connection.notifications(within: Self.pollInterval)
            let quiet = lastAnswer.duration(to: self.clock.now) > Self.quietMax
            guard !arrived.isEmpty || quiet else { continue }
            if arrived.contains(where: { $0.channel == "directory_changed" }) {
                self.feed.announceDirectory()
            }
            if arrived.contains(where: { $0.channel == "flags_changed" }) { self.feed.announceFlags() }
            let accounts = Set(
                arrived.compactMap { $0.channel == "account_changed" ? Int64($0.payload) : nil })
            try self.publish(
                connection, "b.account_id = ANY ($1::bigint[])", [.array(PostgresArray(accounts.sorted()))])
            lastAnswer = self.clock.now
        }
    }

    private func catchUp(_ connection: PostgresConnection) throws {
        if let lastSeen = self.lastSeen {
            let since = lastSeen - Self.overlapSeconds * 1_000_000
            try self.publish(connection, "b.updated_at > to_timestamp($1::bigint / 1000000.0)", [.int(since)])
        } else {
            try self.publish(
                connection, "b.updated_at > now() - make_interval(secs => $1::int)",
                [.int(Self.firstLookBackSeconds)])
        }
    }

    /// Reads the accounts, hands them on and notes the database's time as of before the reading.
    private func publish(
        _ connection: PostgresConnection, _ condition: String, _ parameters: PostgresParameters
    ) throws {
        let now = try connection.run("SELECT (extract(epoch FROM now()) * 1000000)::bigint").one().int(0)
        let rows = try connection.run(
            """
            SELECT b.account_id, (SELECT ledger_generation()), b.version, b.balance_millicredits,
                b.gate_version,
                   b.floor_millicredits, b.blocked
            FROM credit_balance b WHERE \(condition)
            """, parameters
        ).rows
        for row in rows {
            let account = try row.int(0)
            self.feed.publish(
                (
                    balance: LedgerBalance(
                        account: account, generation: try row.int(1), version: try row.int(2),
                        balance: try row.millicredits(3)),
                    gate: AccountGate(
                        account: account, version: try row.int(4), floor: try row.millicredits(5),
                        blocked: try row.bool(6))
                ))
        }
        self.lastSeen = now
    }
}

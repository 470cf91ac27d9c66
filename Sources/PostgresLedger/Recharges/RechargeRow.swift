import Billing
import Metering

/// A row of `recharge`.
struct RechargeRow {
    private static let columns = """
        r.threshold, r.package_code, r.price_usd_cents, r.daily_limit_cents, r.state, r.wake_at, r.stop_reason,
        r.attempts, r.attempt_cents, r.attempt_started_at, r.last_failure, r.declines, r.failures, r.spent_day,
        r.spent_cents, r.version_least, r.rests_until
        """

    var machine: Recharge
    /// The one under way, or the one that ended last.
    var attempt: RechargeAttempt?
    var lastFailure: RechargeFailure?

    enum Lock: String {
        case none = ""
        case wait = "FOR UPDATE"
        /// Whoever has it decides for this account.
        case skip = "FOR UPDATE SKIP LOCKED"
    }

    static func find(
        _ account: AccountID, lock: Lock, on connection: PostgresConnection
    ) throws -> RechargeRow? {
        try connection.run(
            "SELECT \(Self.columns) FROM recharge r WHERE r.account_id = $1 \(lock.rawValue)", [.int(account)]
        ).first.map { try RechargeRow($0, account) }
    }

    init(machine: Recharge) { self.machine = machine }

    private init(_ row: PostgresRow, _ account: AccountID) throws {
        let attempts = try row.int(7)
        if let startedAt = try row.optionalInt(9) {
            self.attempt = RechargeAttempt(number: attempts, cents: try row.int(8), startedAt: startedAt)
        }
        self.lastFailure = try row.optionalText(10).flatMap { RechargeFailure(rawValue: $0) }
        self.machine = Recharge(
            account: account, settings: try Self.settings(row), state: try Self.state(row, self.attempt),
            attempts: attempts, declines: Int(try row.int(11)), failures: Int(try row.int(12)),
            spent: .init(day: try row.int(13), cents: try row.int(14)), versionLeast: try row.int(15),
            restsUntil: try row.int(16))
    }

    private static func settings(_ row: PostgresRow) throws -> RechargeSettings? {
        guard let code = try row.optionalText(1) else { return nil }
        return try RechargeSettings(
            threshold: row.millicredits(0), packageCode: code, priceUSDCents: row.int(2),
            dailyLimitCents: row.int(3))
    }

    private static func state(_ row: PostgresRow, _ attempt: RechargeAttempt?) throws -> Recharge.State {
        switch (try row.text(4), attempt) {
        case ("idle", _): return .idle
        case ("asking", let attempt?): return .asking(attempt, retryAt: try row.int(5))
        case ("processing", let attempt?): return .processing(attempt)
        case ("pausing", _): return .pausing(until: try row.int(5))
        case ("stopped", _):
            if let reason = RechargeStop(rawValue: try row.text(6)) { return .stopped(reason) }
        default: break
        }
        throw PostgresError.unexpectedResult("a recharge whose state does not fit")
    }

    /// Everything but what the owner wants.
    ///
    /// - Parameter lookAt: nothing is to be decided before.
    func write(lookAt: Int64, on connection: PostgresConnection) throws {
        let state = StateColumns(self.machine.state)
        let attempt = state.attempt ?? self.attempt
        let machine = self.machine
        let changed = try connection.run(
            """
            UPDATE recharge SET state = $2, wake_at = $3, stop_reason = $4, attempts = $5, attempt_cents = $6,
                attempt_started_at = $7, last_failure = $8, declines = $9, failures = $10, spent_day = $11,
                spent_cents = $12, version_least = $13, look_at = $14, rests_until = $15,
                updated_at = now()
            WHERE account_id = $1
            """,
            [
                .int(machine.account), .text(state.name), .int(state.wakeAt), .text(state.stop?.rawValue),
                .int(machine.attempts), .int(attempt?.cents), .int(attempt?.startedAt),
                .text(self.lastFailure?.rawValue), .int(Int64(machine.declines)),
                .int(Int64(machine.failures)), .int(machine.spent.day), .int(machine.spent.cents),
                .int(machine.versionLeast), .int(max(lookAt, state.wakeAt ?? 0)),
                .int(machine.restsUntil),
            ]
        ).affected
        precondition(changed == 1, "a row that was found is never deleted")
    }

    private struct StateColumns {
        var name: String
        var wakeAt: Int64?
        var stop: RechargeStop?
        var attempt: RechargeAttempt?

        init(_ state: Recharge.State) {
            switch state {
            case .idle: self.name = "idle"
            case .asking(let attempt, let retryAt):
                (self.name, self.wakeAt, self.attempt) = ("asking", retryAt, attempt)
            case .processing(let attempt): (self.name, self.attempt) = ("processing", attempt)
            case .pausing(let until): (self.name, self.wakeAt) = ("pausing", until)
            case .stopped(let reason): (self.name, self.stop) = ("stopped", reason)
            }
        }
    }
}

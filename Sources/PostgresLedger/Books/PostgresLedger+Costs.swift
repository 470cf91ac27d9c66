import Billing
import Metering

/// The days of which costs are posted.
private struct CostDays {
    var first: Int64
    var last: Int64
    var today: UTCDay
    /// Every day in which holds are still settled or corrected is among them.
    var isWhole: Bool
}

extension PostgresLedger {
    /// Holds are settled and corrected at most 35 days back.
    private static let costDays: Int64 = 36
    /// What is looked at in every run; the whole once a day.
    private static let costDaysOften: Int64 = 2
    /// A day has one partition of settlements.
    private static let costStatementSeconds: Int64 = 110
    /// Longer than another instance keeps a day locked.
    private static let costLockSeconds: Int64 = 120

    /// What OpenAI charges, as a target for each UTC day: corrections move them. Each day is a transaction, and one that
    /// fails keeps no other back.
    ///
    /// - Parameter waits: every day is there when it returns, whoever posted it. Else an instance that finds another one
    ///   at work leaves the rest to it.
    /// - Returns: how many entries were posted.
    /// - Throws: the first day's failure after all days were tried; at once when the ledger is away.
    @discardableResult
    public func postCosts(waits: Bool) async throws -> Int {
        let days = try await self.pool.run { try Self.costDays(on: $0, whole: waits) }
        var (posted, failure) = (0, FirstFailure())
        for number in stride(from: days.first, through: days.last, by: 1) {
            guard let day = UTCDay(daysSinceEpoch: number) else { continue }
            try Task.checkCancellation()
            guard let entries = try await self.tryCosts(of: day, waits: waits, &failure) else {
                try failure.throwIfAny()
                return posted
            }
            posted += entries
        }
        try failure.throwIfAny()
        if days.isWhole { try await self.noteWholeCosts(on: days.today) }
        return posted
    }

    /// The days since the last one that has costs in the journal, and once a day all days in which holds are still
    /// settled or corrected. An id may be up to a day ahead.
    private static func costDays(on connection: PostgresConnection, whole: Bool) throws -> CostDays {
        try connection.run(
            "INSERT INTO job_lease (job, holder, until) VALUES ('costs', '', now()) ON CONFLICT DO NOTHING")
        let row = try connection.run(
            """
            WITH today AS (SELECT (now() AT TIME ZONE 'UTC')::date AS day)
            SELECT today.day::text,
                   (least(today.day, coalesce(
                       (SELECT max(day) FROM journal_entry WHERE kind = 'cost'),
                       (SELECT (created_at AT TIME ZONE 'UTC')::date FROM account ORDER BY account_id LIMIT 1)))
                    - date '1970-01-01')::bigint,
                   coalesce((SELECT progress FROM job_lease WHERE job = 'costs') = today.day::text, false)
            FROM today
            """
        ).one()
        guard let today = UTCDay(text: try row.text(0)) else {
            throw PostgresError.unexpectedResult("no date of today")
        }
        let isWhole = try whole || !row.bool(2)
        return CostDays(
            first: try row.int(1) - (isWhole ? Self.costDays : Self.costDaysOften),
            last: Int64(today.daysSinceEpoch) + 1, today: today, isWhole: isWhole)
    }

    /// Who waits in vain for another instance does so once, and not for every day.
    private func tryCosts(of day: UTCDay, waits: Bool, _ failure: inout FirstFailure) async throws -> Int? {
        do { return try await self.postCosts(of: day, waits: waits) } catch let error as PostgresError
            where error.isAnswer && !error.isConcurrency
        {
            self.logger.error(
                "the costs of a day cannot be posted", metadata: ["day": "\(day)", "error": "\(error)"])
            failure.note(error)
            return 0
        }
    }

    /// nil: another instance is posting, and nobody waits for it.
    private func postCosts(of day: UTCDay, waits: Bool) async throws -> Int? {
        try await self.pool.run(timeout: .seconds(600)) { connection in
            try connection.retryingConcurrency {
                try connection.transaction { connection in
                    guard try Self.lockCosts(on: connection, waits: waits) else { return nil }
                    guard let entry = try Self.costEntry(of: day, on: connection) else { return 0 }
                    try JournalWriter.write(entry, account: nil, on: connection)
                    return 1
                }
            }
        }
    }

    /// One instance at a time: the revision of an entry is counted.
    private static func lockCosts(on connection: PostgresConnection, waits: Bool) throws -> Bool {
        try connection.run(
            "SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true)",
            [
                .text("\(waits ? Self.costLockSeconds + 10 : Self.costStatementSeconds)s"),
                .text("\(Self.costLockSeconds)s"),
            ])
        let lock = "SELECT 1 FROM job_lease WHERE job = 'costs' FOR UPDATE"
        let rows = try connection.run(
            waits ? lock : lock + " SKIP LOCKED", timeout: .seconds(Self.costLockSeconds + 10)
        ).rows
        try connection.run(
            "SELECT set_config('statement_timeout', $1, true)", [.text("\(Self.costStatementSeconds)s")])
        return !rows.isEmpty
    }

    /// A cost is of the day of its hold, which a correction does not move. nil: nothing has changed.
    private static func costEntry(of day: UTCDay, on connection: PostgresConnection) throws -> JournalEntry? {
        let row = try connection.run(
            """
            SELECT (SELECT coalesce(sum(cost_picousd), 0)::text FROM usage_effective
                    WHERE hold_id >= hold_id_at($1::timestamp AT TIME ZONE 'UTC')
                      AND hold_id < hold_id_at(($1::timestamp + interval '1 day') AT TIME ZONE 'UTC')),
                   coalesce(sum(l.amount_microusd), 0)::bigint, count(*)
            FROM journal_entry e JOIN journal_line l USING (entry_key)
            WHERE e.day = $1::date AND e.kind = 'cost' AND l.book_account = 'expenses:openai'
            """, [.text("\(day)")], timeout: .seconds(Self.costStatementSeconds)
        ).one()
        guard let cost = Int128(try row.text(0)), let target = MicroUSD(roundingPicoUSD: cost) else {
            throw PostgresError.unexpectedResult("a cost beyond the books")
        }
        return try JournalEntry(
            costOf: day, target: target, posted: MicroUSD(row.int(1)), revision: row.int(2) + 1)
    }

    private func noteWholeCosts(on today: UTCDay) async throws {
        _ = try await self.pool.run { connection in
            try connection.run(
                "UPDATE job_lease SET progress = $1 WHERE job = 'costs'", [.text("\(today)")]
            ).affected
        }
    }
}

import Billing
import Metering

/// What a run of the books did.
public struct BookRun: Sendable, Hashable {
    /// Accounts whose books went on.
    public var accounts = 0
    public var lines = 0
    public var entries = 0
    /// Accounts whose books cannot go on; `lot_book.failure` says why.
    public var failed = 0

    public init() {}
}

extension PostgresLedger {
    private static let linesPerRun: Int64 = 5_000
    /// Holds are settled and corrected at most 35 days back.
    private static let costDays = 36
    /// What is looked at in every run; the whole once a day.
    private static let costDaysOften = 2

    /// Recognises revenue for every account that has lines the books have not seen. May run on several instances at
    /// once; each account's book is locked while it goes on.
    ///
    /// - Parameter batch: accounts per query.
    public func keepBooks(batch: Int64 = 500) async throws -> BookRun {
        var run = BookRun()
        var after: AccountID = 0
        while true {
            let behind = try await self.accountsBehind(after: after, limit: batch)
            for account in behind {
                try Task.checkCancellation()
                do {
                    try await self.keepBook(of: account, &run)
                } catch let error as PostgresError where !error.isUnreachable && !error.isConcurrency {
                    // One account's trouble is not the others'.
                    run.failed += 1
                    try await self.noteFailure(of: account, "\(error)")
                }
            }
            guard let last = behind.last else { break }
            after = last
        }
        run.entries += try await self.postCosts()
        return run
    }

    private func accountsBehind(after: AccountID, limit: Int64) async throws -> [AccountID] {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT b.account_id FROM credit_balance b LEFT JOIN lot_book k USING (account_id)
                WHERE b.account_id > $1 AND b.version > coalesce(k.version, 0) ORDER BY b.account_id LIMIT $2
                """, [.int(after), .int(limit)]
            ).rows.map { try $0.int(0) }
        }
    }

    private func keepBook(of account: AccountID, _ run: inout BookRun) async throws {
        run.accounts += 1
        while true {
            let step = try await self.pool.run(timeout: .seconds(60)) { connection in
                try connection.retryingConcurrency { try Self.goOn(account, on: connection) }
            }
            switch step {
            case .lines(let lines, let entries):
                run.lines += lines
                run.entries += entries
                if lines < Int(Self.linesPerRun) { return }
            case .busy: return
            case .failed(let reason):
                run.failed += 1
                try await self.noteFailure(of: account, reason)
                return
            }
        }
    }

    private enum BookStep: Sendable {
        case lines(Int, entries: Int)
        case busy
        case failed(String)
    }

    private static func goOn(_ account: AccountID, on connection: PostgresConnection) throws -> BookStep {
        do {
            return try connection.transaction { connection in
                let rows = LotBookRows(connection: connection, account: account)
                guard var book = try rows.load() else { return .busy }
                let lines = try rows.lines(after: book.version, limit: Self.linesPerRun)
                guard !lines.isEmpty else { return .lines(0, entries: 0) }
                let changes = try book.run(lines)
                try rows.store(book, changes)
                return .lines(lines.count, entries: changes.entries.count)
            }
        } catch let failure as LotBookFailure {
            return .failed("\(failure)")
        } catch let failure as CreditLot.Failure {
            return .failed("\(failure)")
        }
    }

    private func noteFailure(of account: AccountID, _ reason: String) async throws {
        self.logger.error(
            "the books of an account cannot go on",
            metadata: ["account": "\(account)", "reason": "\(reason)"])
        _ = try await self.pool.run { connection in
            try connection.run(
                """
                INSERT INTO lot_book (account_id, failure) VALUES ($1, $2)
                ON CONFLICT (account_id) DO UPDATE SET failure = excluded.failure
                """, [.int(account), .text(reason)]
            ).affected
        }
    }

    // MARK: Costs

    /// What OpenAI charges for the last days, as targets: corrections move them. Returns how many entries were posted.
    private func postCosts() async throws -> Int {
        try await self.pool.run(timeout: .seconds(120)) { connection in
            try connection.retryingConcurrency {
                try connection.transaction { connection in
                    // One instance at a time: the revision of an entry is counted.
                    try connection.run(
                        """
                        INSERT INTO job_lease (job, holder, until) VALUES ('costs', '', now()) ON CONFLICT DO NOTHING
                        """)
                    try connection.run("SELECT 1 FROM job_lease WHERE job = 'costs' FOR UPDATE")
                    try connection.run("SELECT set_config('statement_timeout', '110s', true)")
                    let entries = try Self.costEntries(on: connection)
                    for entry in entries {
                        try JournalWriter.write(entry, account: nil, on: connection)
                    }
                    return entries.count
                }
            }
        }
    }

    /// Of the days since the last one that has costs in the journal, and once a day of all days in which holds are still
    /// settled or corrected. A cost is of the day of its hold, which a correction does not move.
    private static func costEntries(on connection: PostgresConnection) throws -> [JournalEntry] {
        let from = try connection.run(
            """
            WITH last AS (
                SELECT max(day) AS day, max(created_at) AS posted FROM journal_entry WHERE kind = 'cost'),
            today AS (SELECT (now() AT TIME ZONE 'UTC')::date AS day)
            SELECT (least(today.day, coalesce(last.day, (
                        SELECT (min(created_at) AT TIME ZONE 'UTC')::date FROM account)))
                    - CASE WHEN (last.posted AT TIME ZONE 'UTC')::date = today.day THEN \(Self.costDaysOften)
                      ELSE \(Self.costDays) END)::text
            FROM last, today
            """
        ).one().text(0)
        // A hold is settled within 35 days, or never: older partitions are not read.
        return try connection.run(
            """
            SELECT day::text, coalesce(c.cost, 0)::text, coalesce(p.posted, 0)::bigint, coalesce(p.entries, 0)::bigint
            FROM (SELECT (to_timestamp((('x' || left(replace(hold_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0))
                          AT TIME ZONE 'UTC')::date AS day, sum(cost_picousd) AS cost
                  FROM usage_effective WHERE hold_id >= hold_id_at($1::timestamp AT TIME ZONE 'UTC')
                  GROUP BY 1) c
            FULL JOIN (SELECT e.day, sum(l.amount_microusd) AS posted, count(*) AS entries
                       FROM journal_entry e JOIN journal_line l USING (entry_key)
                       WHERE e.day >= $1::date AND e.kind = 'cost' AND l.book_account = 'expenses:openai'
                       GROUP BY e.day) p USING (day)
            ORDER BY day
            """, [.text(from)], timeout: .seconds(110)
        ).rows.compactMap(Self.costEntry)
    }

    private static func costEntry(_ row: PostgresRow) throws -> JournalEntry? {
        guard let day = UTCDay(text: try row.text(0)), let cost = Int128(try row.text(1)),
            let target = MicroUSD(roundingPicoUSD: cost)
        else { throw PostgresError.unexpectedResult("no day, or a cost beyond the books") }
        return try JournalEntry(
            costOf: day, target: target, posted: MicroUSD(row.int(2)), revision: row.int(3) + 1)
    }
}

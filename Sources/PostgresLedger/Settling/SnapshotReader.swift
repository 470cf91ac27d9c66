import Metering
import Synchronization

/// Reads accounts for cold loads (rule E3): joins what comes while the pool is busy into one statement. The runner
/// of `SnapshotLine`.
final class SnapshotReader: Sendable {
    struct Request: Sendable {
        var account: AccountID
        var holds: [HoldID]
        var reply: @Sendable (Result<AccountSnapshot, LedgerReadFailure>) -> Void
    }

    private let pool: PostgresPool
    private let line: Mutex<SnapshotLine<Request>>

    init(pool: PostgresPool) {
        self.pool = pool
        self.line = Mutex(SnapshotLine(limits: .init(lanes: pool.size)))
    }

    func read(_ request: Request) {
        switch self.line.withLock({ $0.add(request, holds: request.holds.count) }) {
        case .send(let batch): self.send(batch)
        case .wait: break
        case .refuse: request.reply(.failure(.unreachable))
        }
    }

    private func send(_ batch: [Request]) {
        self.pool.submit(timeout: .seconds(5)) { connection in
            try SnapshotStatement.run(batch.map { ($0.account, $0.holds) }, on: connection)
        } completion: { result in
            // The lane first: what is sent next need not wait for the callers' replies.
            switch result {
            case .success(let snapshots):
                if let next = self.line.withLock({ $0.answered() }) { self.send(next) }
                for (request, snapshot) in zip(batch, snapshots) {
                    request.reply(snapshot.map(Result.success) ?? .failure(.noSuchAccount))
                }
            case .failure:
                let waiting = self.line.withLock { $0.failed() }
                for request in batch + waiting { request.reply(.failure(.unreachable)) }
            }
        }
    }
}

/// The statement behind a snapshot, for any number of accounts.
enum SnapshotStatement {
    /// One answer per question, in the same order; nil: no such account. One statement, so balance, gate, spend
    /// windows and settled holds are of one moment.
    static func run(
        _ questions: [(account: AccountID, holds: [HoldID])], on connection: PostgresConnection
    ) throws(PostgresError) -> [AccountSnapshot?] {
        var (places, holds) = (PostgresArray(), PostgresArray())
        for (place, question) in questions.enumerated() {
            for hold in question.holds {
                places.append(Int64(place + 1))
                holds.append(hold)
            }
        }
        let rows = try connection.run(
            self.sql,
            [.array(PostgresArray(questions.map(\.account))), .array(places), .array(holds)]
        ).rows
        var answers = [AccountSnapshot?](repeating: nil, count: questions.count)
        for row in rows {
            let place = Int(try row.int(0)) - 1
            guard answers.indices.contains(place) else {
                throw .unexpectedResult("a snapshot that nobody asked for")
            }
            let account = questions[place].account
            var snapshot: AccountSnapshot
            if let known = answers[place] {
                snapshot = known
            } else {
                snapshot = try AccountSnapshot(row, of: account)
            }
            if try row.optionalText(9) != nil {
                snapshot.settled.append(
                    SettledHold(
                        hold: try row.uuid(9), amount: try row.millicredits(10),
                        counted: try row.millicredits(11), authority: try row.authority(12)))
            }
            answers[place] = snapshot
        }
        return answers
    }

    /// What was waived counts with what it would have been, and a correction with what it adds to what counted before it.
    /// Spend counts when it was posted; the hold-id bounds (a day wider, on both sides) only spare partitions. The look-ups are LATERAL with a LIMIT, so that each is an index probe however many are asked for.
    private static let sql = """
        WITH asked AS (
            SELECT a.account_id, a.place FROM unnest($1::bigint[]) WITH ORDINALITY AS a(account_id, place)),
        settled AS (
            SELECT w.place, w.hold_id, u.amount, u.counted, u.authority
            FROM unnest($2::bigint[], $3::uuid[]) AS w(place, hold_id)
            JOIN asked a ON a.place = w.place
            CROSS JOIN LATERAL (
                SELECT x.charged_millicredits AS amount,
                       CASE x.kind WHEN 'waived' THEN x.shadow_millicredits ELSE x.charged_millicredits END
                           AS counted, x.authority
                FROM usage_effective x
                WHERE x.account_id = a.account_id AND x.hold_id = w.hold_id LIMIT 1) u)
        SELECT a.place, b.balance_millicredits, b.version, (SELECT ledger_generation()),
               b.gate_version, b.floor_millicredits, b.blocked,
               greatest(0, spent.hour), greatest(0, spent.today), s.hold_id, s.amount, s.counted,
               s.authority
        FROM asked a JOIN credit_balance b ON b.account_id = a.account_id
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(amount) FILTER (WHERE at > now() - interval '60 minutes'), 0) AS hour,
                   coalesce(sum(amount) FILTER (WHERE at >=
                       date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'), 0) AS today
            FROM (
                SELECT e.created_at AS at,
                       CASE e.kind WHEN 'waived' THEN e.shadow_millicredits ELSE e.charged_millicredits END AS amount
                FROM usage_events e
                WHERE e.account_id = a.account_id
                  AND e.hold_id >= hold_id_at(now() - interval '2 days')
                  AND e.hold_id < hold_id_at(now() + interval '2 days')
                UNION ALL
                SELECT c.created_at,
                       CASE c.kind WHEN 'waived' THEN c.shadow_millicredits ELSE c.charged_millicredits END - before.amount
                FROM usage_correction c CROSS JOIN LATERAL (
                    SELECT CASE p.kind WHEN 'waived' THEN p.shadow_millicredits ELSE p.charged_millicredits END AS amount
                    FROM (
                        SELECT e.authority, e.kind, e.charged_millicredits, e.shadow_millicredits
                        FROM usage_events e WHERE e.account_id = c.account_id AND e.hold_id = c.hold_id
                        UNION ALL
                        SELECT o.authority, o.kind, o.charged_millicredits, o.shadow_millicredits
                        FROM usage_correction o WHERE o.account_id = c.account_id AND o.hold_id = c.hold_id) p
                    WHERE p.authority < c.authority ORDER BY p.authority DESC LIMIT 1) before
                WHERE c.account_id = a.account_id
                  AND c.hold_id >= hold_id_at(now() - interval '2 days')) lines) spent
        LEFT JOIN settled s ON s.place = a.place
        ORDER BY a.place
        """
}

extension AccountSnapshot {
    fileprivate init(_ row: PostgresRow, of account: AccountID) throws(PostgresError) {
        self.init(
            balance: LedgerBalance(
                account: account, generation: try row.int(3), version: try row.int(2),
                balance: try row.millicredits(1)),
            gate: AccountGate(
                account: account, version: try row.int(4), floor: try row.millicredits(5),
                blocked: try row.bool(6)),
            spentLastHour: try row.millicredits(7), spentToday: try row.millicredits(8), settled: [])
    }
}

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
    /// windows and settled holds are of one moment. (`account_snapshots` of migration 31 answers with rows of accounts
    /// first, then with rows of holds.)
    ///
    /// What was waived counts with what it would have been, and a correction with what it adds to what counted before it.
    /// Spend counts when it was posted; the hold-id bounds (a day wider, on both sides) only spare partitions.
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
            "SELECT * FROM account_snapshots($1::bigint[], $2::bigint[], $3::uuid[])",
            [.array(PostgresArray(questions.map(\.account))), .array(places), .array(holds)]
        ).rows
        var answers = [AccountSnapshot?](repeating: nil, count: questions.count)
        for row in rows {
            let place = Int(try row.int(0)) - 1
            guard answers.indices.contains(place) else {
                throw .unexpectedResult("a snapshot that nobody asked for")
            }
            if try row.optionalText(9) == nil {
                answers[place] = try AccountSnapshot(row, of: questions[place].account)
            } else {
                answers[place]?.settled.append(try SettledHold(row))
            }
        }
        return answers
    }
}

extension SettledHold {
    fileprivate init(_ row: PostgresRow) throws(PostgresError) {
        self.init(
            hold: try row.uuid(9), amount: try row.millicredits(10), counted: try row.millicredits(11),
            authority: try row.authority(12))
    }
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

import Billing
import Metering

/// Reads a month of a range of accounts, inside a transaction that sees one moment.
struct StatementReader {
    let connection: PostgresConnection
    let month: UTCMonth
    let now: Int64
    let today: UTCDay

    private static let dayMilliseconds: Int64 = 86_400_000
    /// A transaction's lines bear the time of its begin, so the last lines of a month appear after its end. None lasts
    /// nearly as long as this.
    private static let closingMilliseconds: Int64 = 3_600_000

    /// - Parameter timeout: of each statement; and whoever takes the drafts may take their time.
    init(month: UTCMonth, on connection: PostgresConnection, timeout: Duration) throws {
        let now = try connection.run(
            """
            SELECT (extract(epoch FROM now()) * 1000)::bigint, set_config('statement_timeout', $1, true),
                   set_config('idle_in_transaction_session_timeout', '600s', true)
            """, [.text("\(timeout.components.seconds)s")]
        ).one().int(0)
        self.connection = connection
        self.month = month
        self.now = now
        self.today = try Self.day(now / Self.dayMilliseconds)
    }

    var hasBegun: Bool { self.now >= self.month.milliseconds.lowerBound }

    private var isFinal: Bool { self.now >= self.month.milliseconds.upperBound + Self.closingMilliseconds }

    static func lastOfPage(
        _ after: AccountID, _ count: Int64, on connection: PostgresConnection
    ) throws -> AccountID? {
        try connection.run(
            """
            SELECT max(account_id) FROM (
                SELECT account_id FROM account WHERE account_id > $1 ORDER BY account_id LIMIT $2) page
            """, [.int(after), .int(count)]
        ).one().optionalInt(0)
    }

    /// Of the accounts in `(after, last]` that were there before the month ended, in their order.
    func drafts(after: AccountID, upTo last: AccountID) throws -> [StatementDraft] {
        var drafts = try self.balances(after, last)
        guard !drafts.isEmpty else { return [] }
        var places: [AccountID: Int] = [:]
        for (place, draft) in drafts.enumerated() { places[draft.account] = place }
        func change(_ account: AccountID, _ body: (inout StatementDraft) -> Void) throws {
            guard let place = places[account] else {
                throw PostgresError.unexpectedResult("a line of an account that was not there")
            }
            body(&drafts[place])
        }
        for (account, used) in try self.usage(after, last) { try change(account) { $0.usage.append(used) } }
        for (account, line) in try self.lines(after, last) { try change(account) { $0.add(line) } }
        for (account, corrected) in try self.corrections(after, last) {
            try change(account) {
                $0.add(
                    correctionOf: corrected.hold, model: corrected.model, charged: corrected.charged,
                    day: corrected.day)
            }
        }
        return drafts
    }

    // MARK: What is read

    /// Opening is what the ledger's last line says without the lines since the month began, and closing the balance
    /// without those since it ended: that the one leads to the other proves both, and of an account of years only the
    /// last lines are read. By time and not by `balance_after`, since a line's version is given when its
    /// transaction gets the lock, and its time when it began: at midnight the two orders may differ.
    private func balances(_ after: AccountID, _ last: AccountID) throws -> [StatementDraft] {
        try self.connection.run(
            """
            SELECT a.account_id, a.user_id, coalesce(n.balance, 0) - l.since, b.balance_millicredits - l.later
            FROM account a JOIN credit_balance b USING (account_id)
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(amount_millicredits), 0)::bigint AS since,
                       coalesce(sum(amount_millicredits) FILTER (WHERE created_at >= \(Self.instant(4))), 0)::bigint
                           AS later
                FROM credit_ledger c WHERE c.account_id = a.account_id AND c.created_at >= \(Self.instant(3))) l
            LEFT JOIN LATERAL (
                SELECT balance_after_millicredits AS balance FROM credit_ledger c WHERE c.account_id = a.account_id
                ORDER BY version DESC LIMIT 1) n ON true
            WHERE a.account_id > $1 AND a.account_id <= $2 AND a.created_at < \(Self.instant(4))
            ORDER BY a.account_id
            """, self.range(after, last)
        ).rows.map { row in
            try StatementDraft(
                account: row.int(0), userID: row.text(1), month: self.month, opening: row.millicredits(2),
                closing: row.millicredits(3), isFinal: self.isFinal)
        }
    }

    /// What was deducted, by the time of the deduction. Exchanges that came to nothing are no usage.
    private func usage(_ after: AccountID, _ last: AccountID) throws -> [(AccountID, Statement.Used)] {
        try self.connection.run(
            """
            SELECT account_id, \(Self.dayNumber), model, count(*), sum(input_tokens)::bigint,
                   sum(least(cached_input_tokens, input_tokens))::bigint, sum(output_tokens)::bigint,
                   sum(charged_millicredits)::bigint
            FROM usage_events
            WHERE \(Self.ofTheMonth) AND \(Self.holds) AND (kind <> 'void' OR charged_millicredits > 0)
            GROUP BY 1, 2, 3
            """, self.rangeWithHolds(after, last)
        ).rows.map { row in
            let used = try Statement.Used(
                day: Self.day(row.int(1)), model: row.text(2), calls: row.int(3), inputTokens: row.int(4),
                cachedInputTokens: row.int(5), outputTokens: row.int(6), charged: row.millicredits(7))
            return (try row.int(0), used)
        }
    }

    /// Lines that are no settlement. A reversal tells the total of its lot: what it stands for is the difference to the
    /// reversal before, which may be of an earlier month.
    private func lines(_ after: AccountID, _ last: AccountID) throws -> [(AccountID, StatementLine)] {
        try self.connection.run(
            """
            SELECT l.account_id, \(Self.dayNumber("l.created_at")), l.type, l.amount_millicredits, l.reference_id,
                   coalesce(t.paid_cents, 0), p.package_name, p.receipt_url, r.cause,
                   r.reversed_cents - coalesce(earlier.reversed_cents, 0)
            FROM credit_ledger l JOIN ledger_transaction t ON t.id = l.transaction_id
            LEFT JOIN lot_reversal r ON r.transaction_id = l.transaction_id
            LEFT JOIN LATERAL (
                SELECT o.reversed_cents FROM lot_reversal o JOIN credit_ledger c ON c.transaction_id = o.transaction_id
                WHERE o.lot = r.lot AND c.version < l.version ORDER BY c.version DESC LIMIT 1) earlier ON true
            LEFT JOIN purchase p
                ON p.purchase_id = CASE WHEN l.reference_type = 'purchase' THEN l.reference_id::uuid END
            WHERE l.account_id > $1 AND l.account_id <= $2
              AND l.reference_type NOT IN ('settlement', 'settlement_correction')
              AND l.created_at >= \(Self.instant(3)) AND l.created_at < \(Self.instant(4))
            ORDER BY l.account_id, l.version
            """, self.range(after, last)
        ).rows.map { (try $0.int(0), try Self.line($0)) }
    }

    private static func line(_ row: PostgresRow) throws -> StatementLine {
        guard let type = LedgerLineType(rawValue: try row.text(2)) else {
            throw PostgresError.unexpectedResult("a type of line that this release does not know")
        }
        var line = try StatementLine(
            day: self.day(row.int(1)), type: type, amount: row.millicredits(3), reference: row.text(4),
            paidCents: row.int(5))
        if let package = try row.optionalText(6) {
            line.purchase = .init(package: package, receiptURL: try row.optionalText(7))
        }
        if let cause = try row.optionalText(8) {
            guard let cause = PaymentPosting.Reversal.Cause(rawValue: cause) else {
                throw PostgresError.unexpectedResult("a reversal that this release does not know")
            }
            line.reversal = .init(cause: cause, cents: try row.int(9))
        }
        return line
    }

    private struct Corrected {
        var hold: HoldID
        var model: String
        var charged: Millicredits
        var day: UTCDay
    }

    private func corrections(_ after: AccountID, _ last: AccountID) throws -> [(AccountID, Corrected)] {
        try self.connection.run(
            """
            SELECT account_id, \(Self.dayNumber), hold_id, model, delta_millicredits FROM usage_correction
            WHERE \(Self.ofTheMonth) AND \(Self.holds) AND delta_millicredits <> 0
            """, self.rangeWithHolds(after, last)
        ).rows.map { row in
            let corrected = try Corrected(
                hold: row.uuid(2), model: row.text(3), charged: row.millicredits(4), day: Self.day(row.int(1))
            )
            return (try row.int(0), corrected)
        }
    }

    // MARK: SQL

    private func range(_ after: AccountID, _ last: AccountID) -> PostgresParameters {
        let month = self.month.milliseconds
        return [.int(after), .int(last), .int(month.lowerBound), .int(month.upperBound)]
    }

    /// `settle` takes no hold older than 35 days, nor one of more than a day to come: a month of settlements is a range
    /// of holds, and so of partitions. A day more each way, since days of 25 hours exist.
    private func rangeWithHolds(_ after: AccountID, _ last: AccountID) -> PostgresParameters {
        var parameters = self.range(after, last)
        let month = self.month.milliseconds
        parameters.append(.int(max(0, month.lowerBound - 36 * Self.dayMilliseconds)))
        parameters.append(.int(max(0, month.upperBound + 2 * Self.dayMilliseconds)))
        return parameters
    }

    private static func instant(_ parameter: Int) -> String { "to_timestamp($\(parameter)::bigint / 1000.0)" }

    private static var ofTheMonth: String {
        """
        account_id > $1 AND account_id <= $2
          AND created_at >= \(self.instant(3)) AND created_at < \(self.instant(4))
        """
    }

    private static var holds: String {
        "hold_id >= hold_id_at(\(self.instant(5))) AND hold_id < hold_id_at(\(self.instant(6)))"
    }

    private static var dayNumber: String { self.dayNumber("created_at") }

    /// Rounded down: the last microsecond of a day is of that day.
    private static func dayNumber(_ column: String) -> String {
        "floor(extract(epoch FROM \(column)) / 86400)::bigint"
    }

    private static func day(_ number: Int64) throws -> UTCDay {
        guard let day = UTCDay(daysSinceEpoch: number) else {
            throw PostgresError.unexpectedResult("a time out of the years 1 to 9999")
        }
        return day
    }
}

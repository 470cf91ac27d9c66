import Billing
import Metering

extension PostgresLedger {
    private static let entriesPerPage: Int64 = 1000

    /// Reads the journal in the order of its days, on one snapshot, a page at a time.
    ///
    /// - Parameters:
    ///   - from, to: days, both included; nil leaves that side open.
    ///   - each: called on a thread of the pool; what it throws ends the reading and is passed on.
    public func readJournal(
        from: UTCDay?, to: UTCDay?, each: @escaping @Sendable (JournalEntry) throws -> Void
    ) async throws {
        try await self.pool.run(timeout: .seconds(86_400)) { connection in
            try connection.transaction(.readSnapshot) { connection in
                // Whoever reads our output may take his time.
                try connection.run(
                    """
                    SELECT set_config('idle_in_transaction_session_timeout', '0', true),
                           set_config('statement_timeout', '120s', true)
                    """)
                // In front of every key of the first day.
                var place = (day: from.map { "\($0)" } ?? "0001-01-01", key: "")
                while true {
                    let page = try Self.page(after: place, to: to, on: connection)
                    for entry in page { try each(entry) }
                    guard let last = page.last, page.count == Int(Self.entriesPerPage) else { return }
                    place = ("\(last.day)", last.key)
                }
            }
        }
    }

    private static func page(
        after place: (day: String, key: String), to: UTCDay?, on connection: PostgresConnection
    ) throws -> [JournalEntry] {
        let rows = try connection.run(
            """
            SELECT e.entry_key, e.day::text, e.kind, l.book_account, l.amount_microusd
            FROM (SELECT entry_key, day, kind FROM journal_entry
                  WHERE (day, entry_key) > ($1::date, $2) AND day <= $3::date
                  ORDER BY day, entry_key LIMIT $4) e
            LEFT JOIN journal_line l USING (entry_key) ORDER BY e.day, e.entry_key
            """,
            [
                .text(place.day), .text(place.key), .text(to.map { "\($0)" } ?? "9999-12-31"),
                .int(Self.entriesPerPage),
            ], timeout: .seconds(120)
        ).rows
        var entries: [JournalEntry] = []
        var start = 0
        while start < rows.count {
            let key = try rows[start].text(0)
            var end = start + 1
            while end < rows.count, try rows[end].text(0) == key { end += 1 }
            entries.append(try Self.entry(key, rows[start..<end]))
            start = end
        }
        return entries
    }

    /// Checked as if it were new: a damaged entry is named and not exported.
    private static func entry(_ key: String, _ rows: ArraySlice<PostgresRow>) throws -> JournalEntry {
        guard let first = rows.first, let day = UTCDay(text: try first.text(1)),
            let kind = JournalEntry.Kind(name: try first.text(2))
        else { throw PostgresError.unexpectedResult("entry \(key) has no day or no kind") }
        let lines = try rows.compactMap { row -> JournalEntry.Line? in
            guard let name = try row.optionalText(3) else { return nil }
            guard let account = BookAccount(rawValue: name) else {
                throw PostgresError.unexpectedResult("entry \(key) names an unknown account")
            }
            return JournalEntry.Line(account, MicroUSD(try row.int(4)))
        }
        do throws(JournalEntry.Failure) {
            return try JournalEntry(reading: key, day: day, kind: kind, lines: lines)
        } catch {
            throw PostgresError.unexpectedResult("entry \(key): \(error)")
        }
    }
}

import Billing
import Metering

/// Posts entries of the journal inside the transaction of what caused them.
enum JournalWriter {
    static func write(
        _ entry: JournalEntry, account: AccountID?, on connection: PostgresConnection
    ) throws {
        try connection.run(
            "SELECT write_journal_entry($1, $2::date, $3, $4, $5::text[], $6::bigint[])",
            [
                .text(entry.key), .text("\(entry.day)"), .text(entry.kind.name), .int(account),
                .array(PostgresArray(entry.lines.map(\.account.rawValue))),
                .array(PostgresArray(entry.lines.map(\.amount.value))),
            ])
    }

    /// Today by the database's clock, UTC.
    static func today(on connection: PostgresConnection) throws -> UTCDay {
        let text = try connection.run("SELECT (now() AT TIME ZONE 'UTC')::date::text").one().text(0)
        guard let day = UTCDay(text: text) else { throw PostgresError.unexpectedResult("no date: \(text)") }
        return day
    }
}

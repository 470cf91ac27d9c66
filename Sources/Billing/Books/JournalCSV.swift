/// The journal as CSV, one row per line of an entry.
public enum JournalCSV {
    public static let heading = CSVRow.heading(["key", "day", "kind", "account", "debit_usd", "credit_usd"])

    public static func rows(_ entry: JournalEntry) -> String {
        entry.lines.reduce(into: "") { text, line in
            var row = CSVRow()
            row.add(text: entry.key)
            row.add(text: entry.day.description)
            row.add(text: entry.kind.name)
            row.add(text: line.account.rawValue)
            let amount = FixedDecimal.text(Int128(line.amount.value.magnitude), decimals: 6)
            if line.amount > .zero { row.add(number: amount) }
            row.addEmpty()
            if line.amount < .zero { row.add(number: amount) }
            text += row.text
        }
    }

    /// The trial balance, one row per account; the last row is its difference.
    public static func trialBalance(_ trial: TrialBalance) -> String {
        var text = CSVRow.heading(["account", "class", "balance_usd"])
        for (account, sum) in trial.rows {
            var row = CSVRow()
            row.add(text: account.rawValue)
            row.add(text: account.accountClass.rawValue)
            row.add(number: FixedDecimal.text(sum, decimals: 6))
            text += row.text
        }
        var row = CSVRow()
        row.add(text: "difference")
        row.addEmpty()
        row.add(number: FixedDecimal.text(trial.difference, decimals: 6))
        return text + row.text
    }

    /// Lots with everything that recognised + deferred + reversed = paid is checked with.
    public static let lotHeading = CSVRow.heading([
        "source_ref", "kind", "credits_millicredits", "paid_cents", "clawed_millicredits", "reversed_cents",
        "used_millicredits", "withdrawn_millicredits", "remaining_millicredits", "recognised_cents",
        "deferred_cents",
    ])

    public static func row(_ lot: CreditLot) -> String {
        var row = CSVRow()
        row.add(text: lot.sourceRef)
        row.add(text: lot.kind.rawValue)
        for number in [
            lot.credits.value, lot.paidCents, lot.clawed.value, lot.reversedCents, lot.used.value,
            lot.withdrawn.value, lot.remaining.value, lot.recognisedCents, lot.deferredCents,
        ] { row.add(number: String(number)) }
        return row.text
    }
}

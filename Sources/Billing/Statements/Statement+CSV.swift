import Metering

extension Statement {
    /// One table, one row per line: a spreadsheet re-adds it by summing `amount_millicredits`, where the
    /// opening balance counts and the closing balance is what comes out.
    public var csv: String {
        var text = CSVRow.heading([
            "section", "day", "text", "model", "calls", "input_tokens", "cached_input_tokens",
            "output_tokens",
            "amount_millicredits", "amount_credits", "cash_usd", "reference", "receipt_url",
        ])
        text += Self.balanceRow("opening", self.opening, "")
        for row in self.purchases { text += Self.csvRow(row) }
        for row in self.usage { text += Self.csvRow(row) }
        for section in MovementSection.allCases {
            for row in self.movements[section] ?? [] { text += Self.csvRow(section, row) }
        }
        return text + Self.balanceRow("closing", self.closing, self.isFinal ? "" : "not final")
    }

    private static func balanceRow(_ name: String, _ balance: Millicredits, _ text: String) -> String {
        var row = CSVRow()
        row.add(text: name)
        row.addEmpty()
        row.add(text: text)
        row.addEmpty(5)
        row.add(amount: balance.value)
        row.addEmpty(3)
        return row.text
    }

    private static func csvRow(_ purchase: Purchased) -> String {
        var row = CSVRow()
        row.add(text: "purchases")
        row.add(text: purchase.day.description)
        row.add(text: purchase.package)
        row.addEmpty(5)
        row.add(amount: purchase.credits.value)
        row.add(number: FixedDecimal.text(Int128(purchase.paidCents), decimals: 2))
        row.add(text: purchase.reference)
        row.add(text: purchase.receiptURL ?? "")
        return row.text
    }

    private static func csvRow(_ used: Used) -> String {
        var row = CSVRow()
        row.add(text: "usage")
        row.add(text: used.day.description)
        row.addEmpty()
        row.add(text: used.model)
        for count in [used.calls, used.inputTokens, used.cachedInputTokens, used.outputTokens] {
            row.add(number: String(count))
        }
        row.add(amount: -used.charged.value)
        row.addEmpty(3)
        return row.text
    }

    private static func csvRow(_ section: MovementSection, _ movement: Movement) -> String {
        var row = CSVRow()
        row.add(text: section.rawValue)
        row.add(text: movement.day.description)
        row.add(text: movement.text)
        row.addEmpty(5)
        row.add(amount: movement.amount.value)
        if let cents = movement.cashCents {
            row.add(number: FixedDecimal.text(Int128(cents), decimals: 2))
        } else {
            row.addEmpty()
        }
        row.add(text: movement.reference)
        row.addEmpty()
        return row.text
    }
}

extension CSVRow {
    /// The amount in millicredits and in credits.
    fileprivate mutating func add(amount millicredits: Int64) {
        self.add(number: String(millicredits))
        self.add(number: FixedDecimal.text(Int128(millicredits), decimals: 3))
    }
}

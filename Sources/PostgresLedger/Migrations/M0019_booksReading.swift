extension Migration {
    /// What one instance computes of the books for all, and where the books and statements look things up.
    static let booksReading = Migration(
        version: 19, name: "books reading",
        sql: """
            CREATE TABLE finance_reading (
                only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
                deferred_revenue_microusd numeric(39) NOT NULL,
                liability_microusd        numeric(39) NOT NULL,
                margin_microusd           numeric(39) NOT NULL,
                lag_lines                 bigint NOT NULL CHECK (lag_lines >= 0),
                read_at                   timestamptz NOT NULL
            );

            -- One row per day and correction of it, among the entries of all accounts.
            CREATE INDEX IF NOT EXISTS journal_entry_cost ON journal_entry (day) WHERE kind = 'cost';
            -- A statement tells by how much a reversal went beyond the one before.
            CREATE INDEX IF NOT EXISTS lot_reversal_lot ON lot_reversal (lot);

            -- Lines are appended in the order of their time, but for the length of a transaction: a few bytes per
            -- megabyte say which pages are of a month.
            CREATE INDEX IF NOT EXISTS credit_ledger_created ON credit_ledger
                USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);

            \(Comments.booksReading)
            """)
}

extension Comments {
    static let booksReading = statements(
        """
        finance_reading: What the gauges tell of the books; computed by one instance for all. One row.
        finance_reading.only_row: There is one.
        finance_reading.deferred_revenue_microusd: Paid for and not yet used, millionths of a US dollar.
        finance_reading.liability_microusd: Outstanding credits at their nominal value.
        finance_reading.margin_microusd: Deducted credits less OpenAI's cost, of the last whole UTC day.
        finance_reading.lag_lines: Ledger lines that the books had not seen.
        finance_reading.read_at: The moment of which these figures are.
        """)
}

extension Migration {
    /// What the operator's dashboards look up.
    static let dashboards = Migration(
        version: 28, name: "dashboards",
        sql: """
            -- Deferred revenue is a sum over the whole journal, and is read off this index alone.
            CREATE INDEX IF NOT EXISTS journal_line_deferred ON journal_line (amount_microusd)
                WHERE book_account = 'liabilities:deferred revenue';
            """)
}

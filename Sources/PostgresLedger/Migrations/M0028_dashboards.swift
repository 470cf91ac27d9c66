extension Migration {
    /// What the operator's dashboards look up.
    static let dashboards = Migration(
        version: 28, name: "dashboards",
        sql: """
            -- One whose build by hand was broken off would be taken for it, and never be used.
            DO $$ BEGIN
                IF EXISTS (SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('journal_line_deferred') AND NOT indisvalid) THEN
                    DROP INDEX journal_line_deferred;
                END IF;
            END $$;
            -- Deferred revenue is a sum over the whole journal, and is read off this index alone.
            CREATE INDEX IF NOT EXISTS journal_line_deferred ON journal_line (amount_microusd)
                WHERE book_account = 'liabilities:deferred revenue';
            """)
}

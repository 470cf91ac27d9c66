extension Migration {
    /// Accounts whose streams are held for as they go on.
    static let holdPolicy = Migration(
        version: 10, name: "hold policy",
        sql: """
            ALTER TABLE account ADD COLUMN hold_policy text CHECK (hold_policy IN ('full', 'rolling'));
            COMMENT ON COLUMN account.hold_policy IS
                'What is set aside for a stream: full = its worst case, rolling = a step at a time; NULL = as configured (BILLING_HOLDS). A row of the rate card that names one comes first.';
            """)
}

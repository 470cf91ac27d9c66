extension Migration {
    /// A dead event may be of a payment that never comes into the books, because a person decided so: it asks for nobody
    /// any more.
    static let dismissedEvents = Migration(
        version: 30, name: "dismissed events",
        sql: """
            SET LOCAL lock_timeout = '2s';
            ALTER TABLE stripe_event ADD COLUMN dismissed_at timestamptz;
            COMMENT ON COLUMN stripe_event.dismissed_at IS
                'When a person decided that a dead event leads to nothing; who and why is in audit_log.';
            """)
}

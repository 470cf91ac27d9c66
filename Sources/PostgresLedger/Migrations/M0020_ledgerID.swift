extension Migration {
    /// The ledger has a name of its own among those that share an account at Stripe.
    static let ledgerID = Migration(
        version: 20, name: "ledger id",
        sql: """
            -- Made of the moment in which this ledger's first migration was applied, which every backup of it has: one
            -- that is older than this migration comes to the same id, and payments made since are still its own.
            ALTER TABLE ledger_meta ADD COLUMN ledger_id uuid;
            UPDATE ledger_meta SET ledger_id = md5('tollgate ledger ' || (
                SELECT (extract(epoch FROM applied_at) * 1000000)::bigint FROM schema_migration WHERE version = 1))::uuid;
            ALTER TABLE ledger_meta ALTER COLUMN ledger_id SET NOT NULL;

            \(Comments.ledgerID)
            """)
}

extension Comments {
    static let ledgerID = statements(
        """
        ledger_meta.ledger_id: Which ledger it is; payments at Stripe carry it. A restored ledger is the same one.
        """)
}

extension Comments {
    static let accountsAndLedger = statements(
        """
        account: Who pays. Never deleted; closed instead.
        account.account_id: Internal number; every hot table leads with it.
        account.user_id: External name of the user, 1 to 256 bytes; never changed.
        account.status: active, suspended or closed; anything but active is refused at authentication.
        account.row_version: Counts the changes of this row; readers keep the newest.
        account.changed_by: Transaction that wrote the row; pollers ask for what is not older than their \
        snapshot.
        account.created_at: When the account was created.
        account.updated_at: When the row was last changed.
        api_key: API keys. Only a keyed hash is stored, never the secret.
        api_key.key_id: Internal number, for lists and revocation.
        api_key.account_id: The account it bills; NULL is a service key, which bills any user it names.
        api_key.label: Name for people; the user id for an account's key.
        api_key.prefix: First characters of the secret, for display.
        api_key.digest: HMAC-SHA-256 of the secret under KEY_PEPPER.
        api_key.revoked_at: When it stopped being valid; NULL while it is.
        api_key.row_version: Counts the changes of this row; readers keep the newest.
        api_key.changed_by: Transaction that wrote the row; pollers ask for what is not older than their \
        snapshot.
        api_key.created_at: When the key was created.
        api_key.updated_at: When the row was last changed.
        credit_balance: One row per account: the balance and what may be done with it.
        credit_balance.account_id: The account.
        credit_balance.user_id: The account's external name.
        credit_balance.balance_millicredits: Sum of the account's ledger lines; 1,000 millicredits = 1 credit.
        credit_balance.version: Number of the account's ledger lines; moves only with a ledger line.
        credit_balance.floor_millicredits: The balance may not be spent below this; negative is a credit line.
        credit_balance.blocked: Nothing is admitted (dispute, review, suspension).
        credit_balance.gate_version: Counts changes of floor and block.
        credit_balance.updated_at: When a grant or a change of the gate last touched it; settlement does not.
        ledger_meta: One row about the ledger as a whole.
        ledger_meta.only_row: Always true.
        ledger_meta.generation: Raised after a restore or the promotion of a standby; balances compare by \
        (generation, version).
        ledger_meta.timeline: WAL timeline that the generation belongs to.
        ledger_transaction: Heads of the double-entry transactions; the lines of each sum to zero. \
        Append-only.
        ledger_transaction.id: Identity, a UUIDv7.
        ledger_transaction.kind: settlement, correction or grant.
        ledger_transaction.source_ref: Idempotency key of a grant; a fresh name for a settlement batch.
        ledger_transaction.reason: Why, for grants.
        ledger_transaction.paid_cents: US cents paid for a grant.
        ledger_transaction.created_at: When it was posted.
        credit_ledger: Every change of every balance, one line each. Append-only: UPDATE, DELETE and \
        TRUNCATE are refused.
        credit_ledger.account_id: The account.
        credit_ledger.version: 1, 2, 3, … without gaps per account.
        credit_ledger.transaction_id: The transaction it is a line of.
        credit_ledger.user_id: The account's external name.
        credit_ledger.type: purchase, deduction, refund, adjustment, promotional or trial.
        credit_ledger.amount_millicredits: Signed; a deduction is negative.
        credit_ledger.balance_after_millicredits: The balance after this line.
        credit_ledger.reference_type: settlement, settlement_correction or grant.
        credit_ledger.reference_id: batch_id of the usage events, or the grant's source_ref.
        credit_ledger.created_at: When it was posted.
        contra_line: The other side of the ledger lines, one per transaction and type. Append-only.
        contra_line.transaction_id: The transaction it is a line of.
        contra_line.type: Type of the lines it balances.
        contra_line.amount_millicredits: Minus their sum.
        credit_lot: One row per grant of credits, consumed first in, first out by revenue recognition.
        credit_lot.source_ref: The grant it came from.
        credit_lot.account_id: The account.
        credit_lot.kind: Type of the grant.
        credit_lot.credits: Granted amount in millicredits.
        credit_lot.paid_cents: US cents paid for it; 0 for gifts.
        credit_lot.consumed: Millicredits of it that were used up.
        credit_lot.recognized_cents: US cents of it recognised as revenue.
        credit_lot.created_at: When it was granted.
        """)
}

extension Migration {
    /// Which grant each used credit came from, and the journal in US dollars.
    static let books = Migration(
        version: 14, name: "books",
        sql: """
            ALTER TABLE credit_lot ADD COLUMN position bigint, ADD COLUMN used bigint NOT NULL DEFAULT 0,
                ADD COLUMN withdrawn bigint NOT NULL DEFAULT 0, ADD COLUMN clawed bigint NOT NULL DEFAULT 0,
                ADD COLUMN reversed_cents bigint NOT NULL DEFAULT 0,
                ADD CONSTRAINT credit_lot_parts CHECK (
                    used >= 0 AND withdrawn >= 0 AND clawed >= 0 AND consumed = used + withdrawn
                    AND consumed + clawed <= credits),
                ADD CONSTRAINT credit_lot_cents CHECK (
                    reversed_cents >= 0 AND recognized_cents + reversed_cents <= paid_cents);

            CREATE TABLE lot_book (
                account_id     bigint PRIMARY KEY REFERENCES account ON DELETE RESTRICT,
                version        bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
                balance        bigint NOT NULL DEFAULT 0,
                debt_used      bigint NOT NULL DEFAULT 0 CHECK (debt_used >= 0),
                debt_withdrawn bigint NOT NULL DEFAULT 0 CHECK (debt_withdrawn >= 0),
                failure        text,
                updated_at     timestamptz NOT NULL DEFAULT now()
            );

            CREATE TABLE journal_entry (
                entry_key  text PRIMARY KEY,
                day        date NOT NULL,
                kind       text NOT NULL,
                account_id bigint REFERENCES account ON DELETE RESTRICT,
                created_at timestamptz NOT NULL DEFAULT now()
            );
            CREATE INDEX journal_entry_day ON journal_entry (day, entry_key);
            CREATE TABLE journal_line (
                entry_key       text NOT NULL REFERENCES journal_entry,
                book_account    text NOT NULL,
                amount_microusd bigint NOT NULL CHECK (amount_microusd <> 0),
                PRIMARY KEY (entry_key, book_account)
            );
            CREATE TRIGGER journal_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_entry
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
            CREATE TRIGGER journal_line_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_line
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            CREATE FUNCTION write_journal_entry(
                p_key text, p_day date, p_kind text, p_account bigint, p_accounts text[], p_amounts bigint[])
            RETURNS void LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
            BEGIN
                INSERT INTO journal_entry (entry_key, day, kind, account_id)
                    VALUES (p_key, p_day, p_kind, p_account);
                INSERT INTO journal_line (entry_key, book_account, amount_microusd)
                    SELECT p_key, l.account, l.amount FROM unnest(p_accounts, p_amounts) AS l(account, amount);
                IF (SELECT sum(amount) FROM unnest(p_amounts) AS amount) <> 0 THEN
                    RAISE EXCEPTION 'journal entry % does not sum to zero', p_key USING ERRCODE = 'TG001';
                END IF;
            END $$;

            \(Comments.books)
            """)
}

extension Comments {
    static let books = statements(
        """
        credit_lot.position: Version of the ledger line that granted it; NULL until the books have come to it.
        credit_lot.used: Millicredits of it used by exchanges.
        credit_lot.withdrawn: Millicredits of it that an administrator took back.
        credit_lot.clawed: Millicredits of it taken back because of refunds and disputes.
        credit_lot.reversed_cents: US cents of it that went back.
        lot_book: How far the books of each account have come.
        lot_book.account_id: The account.
        lot_book.version: Last ledger line that the books have.
        lot_book.balance: Balance after it, millicredits.
        lot_book.debt_used: Usage that no grant covers yet, millicredits.
        lot_book.debt_withdrawn: Credits taken back that no grant covers yet, millicredits.
        lot_book.failure: Why the books cannot go on, if they cannot.
        lot_book.updated_at: When they last went on.
        journal_entry: The books in US dollars; the lines of each entry sum to zero. Append-only.
        journal_entry.entry_key: What it was made of; each is posted once.
        journal_entry.day: UTC day it belongs to.
        journal_entry.kind: consumption, withdrawal, claw_back, debt_repaid, cost, or what moved at Stripe.
        journal_entry.account_id: Whose; NULL for costs.
        journal_entry.created_at: When it was posted.
        journal_line: Lines of the journal.
        journal_line.entry_key: The entry.
        journal_line.book_account: Account of the books.
        journal_line.amount_microusd: Debit positive, credit negative; millionths of a US dollar.
        """)
}

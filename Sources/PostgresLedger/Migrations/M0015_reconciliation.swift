extension Migration {
    /// What was compared, what was found, and what OpenAI says its days cost.
    static let reconciliation = Migration(
        version: 15, name: "reconciliation",
        sql: """
            CREATE TABLE reconciliation_run (
                run_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                day         date NOT NULL,
                source      text NOT NULL CHECK (source IN ('daily', 'command')),
                started_at  timestamptz NOT NULL,
                finished_at timestamptz NOT NULL DEFAULT now(),
                is_clean    boolean NOT NULL,
                is_complete boolean NOT NULL,
                mismatch_millicredits numeric(39) NOT NULL CHECK (mismatch_millicredits >= 0)
            );
            CREATE UNIQUE INDEX reconciliation_run_daily ON reconciliation_run (day)
                WHERE source = 'daily' AND is_complete;
            CREATE INDEX reconciliation_run_finished ON reconciliation_run (finished_at);

            CREATE TABLE reconciliation_result (
                run_id     bigint NOT NULL REFERENCES reconciliation_run ON DELETE RESTRICT,
                check_name text NOT NULL,
                outcome    text NOT NULL CHECK (outcome IN ('clean', 'mismatch', 'unavailable', 'not_configured')),
                findings   bigint NOT NULL CHECK (findings >= 0),
                mismatch_millicredits numeric(39) NOT NULL CHECK (mismatch_millicredits >= 0),
                PRIMARY KEY (run_id, check_name)
            );

            CREATE TABLE reconciliation_finding (
                run_id     bigint NOT NULL,
                check_name text NOT NULL,
                position   bigint NOT NULL CHECK (position > 0),
                subject    text NOT NULL,
                unit       text CHECK (unit IN ('millicredits', 'micro_usd', 'cents')),
                expected   bigint,
                found      bigint,
                detail     text NOT NULL,
                PRIMARY KEY (run_id, check_name, position),
                FOREIGN KEY (run_id, check_name) REFERENCES reconciliation_result ON DELETE RESTRICT,
                CHECK ((unit IS NULL) = (expected IS NULL) AND (unit IS NULL) = (found IS NULL))
            );

            CREATE TRIGGER reconciliation_run_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliation_run
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
            CREATE TRIGGER reconciliation_result_append_only BEFORE UPDATE OR DELETE OR TRUNCATE
                ON reconciliation_result FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
            CREATE TRIGGER reconciliation_finding_append_only BEFORE UPDATE OR DELETE OR TRUNCATE
                ON reconciliation_finding FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            CREATE TABLE openai_cost (
                day             date PRIMARY KEY,
                amount_microusd bigint NOT NULL,
                imported_at     timestamptz NOT NULL DEFAULT now()
            );

            \(Comments.reconciliation)
            """)
}

extension Comments {
    static let reconciliation = statements(
        """
        reconciliation_run: Reconciliations that came to their end. Append-only.
        reconciliation_run.run_id: In order of their ends.
        reconciliation_run.day: UTC day that was compared.
        reconciliation_run.source: daily (inside serve) or command.
        reconciliation_run.started_at: When it began.
        reconciliation_run.finished_at: When it was stored.
        reconciliation_run.is_clean: Nothing differed, as far as it could be compared.
        reconciliation_run.is_complete: Every other side could be asked.
        reconciliation_run.mismatch_millicredits: Sum of the absolute differences of all checks.
        reconciliation_result: One check of a run. Append-only.
        reconciliation_result.run_id: The run.
        reconciliation_result.check_name: balances, usage, hold_store, payments, openai_costs, trial_balance or books.
        reconciliation_result.outcome: clean, mismatch, unavailable or not_configured.
        reconciliation_result.findings: How many differences there were.
        reconciliation_result.mismatch_millicredits: Sum of their absolute values.
        reconciliation_finding: The first differences of a check, or why it could not be made. Append-only.
        reconciliation_finding.run_id: The run.
        reconciliation_finding.check_name: The check.
        reconciliation_finding.position: From 1, the largest difference first.
        reconciliation_finding.subject: An account, a day, a payment.
        reconciliation_finding.unit: Of both amounts; NULL where the difference is not one of amounts.
        reconciliation_finding.expected: What the reference says.
        reconciliation_finding.found: What was compared with it.
        reconciliation_finding.detail: For a person.
        openai_cost: The operator's export of OpenAI's costs; a later import replaces a day.
        openai_cost.day: UTC day.
        openai_cost.amount_microusd: What OpenAI says it cost, millionths of a US dollar.
        openai_cost.imported_at: When it was imported.
        """)
}

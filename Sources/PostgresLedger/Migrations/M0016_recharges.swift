extension Migration {
    /// What users want of auto-recharge, and where each account's attempt stands.
    static let recharges = Migration(
        version: 16, name: "recharges",
        sql: """
            CREATE TABLE recharge (
                account_id         bigint PRIMARY KEY REFERENCES account ON DELETE RESTRICT,
                threshold          bigint CHECK (threshold >= 0),
                package_code       text,
                price_usd_cents    bigint CHECK (price_usd_cents > 0),
                daily_limit_cents  bigint,
                state              text NOT NULL DEFAULT 'idle' CHECK (state IN
                    ('idle', 'asking', 'processing', 'pausing', 'stopped')),
                wake_at            bigint,
                stop_reason        text,
                attempts           bigint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
                attempt_cents      bigint CHECK (attempt_cents > 0),
                attempt_started_at bigint,
                last_failure       text,
                declines           bigint NOT NULL DEFAULT 0 CHECK (declines >= 0),
                failures           bigint NOT NULL DEFAULT 0 CHECK (failures >= 0),
                spent_day          bigint NOT NULL DEFAULT 0,
                spent_cents        bigint NOT NULL DEFAULT 0 CHECK (spent_cents >= 0),
                version_least      bigint NOT NULL DEFAULT 0,
                look_at            bigint NOT NULL DEFAULT 0,
                created_at         timestamptz NOT NULL DEFAULT now(),
                updated_at         timestamptz NOT NULL DEFAULT now(),
                CHECK (num_nulls(threshold, package_code, price_usd_cents, daily_limit_cents) IN (0, 4)),
                CHECK (daily_limit_cents >= price_usd_cents),
                CHECK ((state = 'stopped') = (stop_reason IS NOT NULL)),
                CHECK ((state IN ('asking', 'pausing')) = (wake_at IS NOT NULL)),
                CHECK ((attempts = 0) = (attempt_started_at IS NULL)),
                CHECK ((attempt_cents IS NULL) = (attempt_started_at IS NULL))
            );
            CREATE INDEX recharge_due ON recharge (look_at)
                WHERE state = 'asking' OR (state IN ('idle', 'pausing') AND threshold IS NOT NULL);
            CREATE TRIGGER recharge_never_deleted BEFORE DELETE OR TRUNCATE ON recharge
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            ALTER TABLE purchase ADD COLUMN attempt_key text UNIQUE,
                ADD CONSTRAINT purchase_attempt CHECK ((kind = 'recharge') = (attempt_key IS NOT NULL));

            \(Comments.recharges)
            """)
}

extension Comments {
    static let recharges = statements(
        """
        recharge: Auto-recharge of one account: what its owner wants, and where the last attempt stands.
        recharge.account_id: Whose.
        recharge.threshold: Below so many available millicredits; NULL: turned off.
        recharge.package_code: What is bought then.
        recharge.price_usd_cents: Its price when the owner agreed to it; a dearer one is not charged.
        recharge.daily_limit_cents: At most so much per UTC day.
        recharge.state: idle, asking, processing, pausing or stopped.
        recharge.wake_at: When the attempt is asked for again, or the pause ends; milliseconds since 1970.
        recharge.stop_reason: Why nothing happens until the owner turns it on again.
        recharge.attempts: Number of the last attempt.
        recharge.attempt_cents: What the last attempt is for, US cents.
        recharge.attempt_started_at: When it began, milliseconds since 1970.
        recharge.last_failure: Why it brought nothing, or nothing yet; NULL: it did not fail.
        recharge.declines: In a row.
        recharge.failures: In a row.
        recharge.spent_day: UTC day since 1970 of spent_cents.
        recharge.spent_cents: What was charged, or may have been, on that day.
        recharge.version_least: A balance of an older version is no reason to charge.
        recharge.look_at: Nothing is to be decided before, milliseconds since 1970.
        recharge.created_at: When it was first turned on.
        recharge.updated_at: When anything of it last changed.
        purchase.attempt_key: Of a recharge: the attempt that it is for; one attempt has one purchase.
        """)
}

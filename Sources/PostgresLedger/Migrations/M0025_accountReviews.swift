extension Migration {
    /// Accounts whose spend is out of the ordinary, for a person to look at.
    static let accountReviews = Migration(
        version: 25, name: "account reviews",
        sql: """
            CREATE TABLE account_review (
                review_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                account_id         bigint NOT NULL REFERENCES account ON DELETE RESTRICT,
                day                date NOT NULL,
                spent_millicredits bigint NOT NULL CHECK (spent_millicredits > 0),
                mean_millicredits  bigint NOT NULL CHECK (mean_millicredits >= 0),
                multiplier         bigint NOT NULL CHECK (multiplier > 0),
                state              text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'cleared', 'suspended')),
                opened_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
                actor              text CHECK (octet_length(actor) BETWEEN 1 AND 256),
                reason             text CHECK (octet_length(reason) BETWEEN 1 AND 1000),
                decided_at         timestamptz,
                UNIQUE (account_id, day),
                CHECK ((state = 'open') = (actor IS NULL) AND (actor IS NULL) = (reason IS NULL)
                    AND (actor IS NULL) = (decided_at IS NULL))
            );
            CREATE UNIQUE INDEX account_review_open ON account_review (account_id) WHERE state = 'open';

            \(Comments.accountReviews)
            """)
}

extension Comments {
    static let accountReviews = statements(
        """
        account_review: Accounts whose spend of a day was out of the ordinary; they are served until a person decides.
        account_review.review_id: Counts up.
        account_review.account_id: Whose spend it is.
        account_review.day: The day, UTC, by the time of posting.
        account_review.spent_millicredits: What had been charged on that day when it was flagged.
        account_review.mean_millicredits: Mean of the seven days before, or of as many as the account is old; rounded down.
        account_review.multiplier: BILLING_ANOMALY_MULTIPLIER of that moment.
        account_review.state: open, cleared (it was in order), suspended (it was not).
        account_review.opened_at: When it was flagged.
        account_review.actor: Who decided: staff:NAME, admin-token, or cli:USER of the operating system.
        account_review.reason: Why, for people.
        account_review.decided_at: When that was.
        """)
}

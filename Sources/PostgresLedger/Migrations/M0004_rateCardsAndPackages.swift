extension Migration {
    /// Prices in force and what can be bought.
    static let rateCardsAndPackages = Migration(
        version: 4, name: "rate cards and packages",
        sql: """
            CREATE TABLE rate_card (
                card           text NOT NULL,
                version        text NOT NULL,
                effective_from timestamptz NOT NULL,
                body           text NOT NULL,
                sha256         text NOT NULL,
                applied_at     timestamptz NOT NULL DEFAULT now(),
                applied_by     text NOT NULL,
                PRIMARY KEY (card, version)
            );
            CREATE TRIGGER rate_card_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rate_card
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

            CREATE TABLE package (
                code            text NOT NULL,
                version         bigint NOT NULL DEFAULT 1,
                name            text NOT NULL,
                price_usd_cents bigint NOT NULL CHECK (price_usd_cents > 0),
                credits         bigint NOT NULL CHECK (credits > 0),
                bonus_credits   bigint NOT NULL DEFAULT 0 CHECK (bonus_credits BETWEEN 0 AND credits),
                active          boolean NOT NULL DEFAULT true,
                PRIMARY KEY (code, version)
            );
            CREATE UNIQUE INDEX package_one_active ON package (code) WHERE active;
            INSERT INTO package (code, name, price_usd_cents, credits, bonus_credits) VALUES
                ('starter', 'Starter', 999, 9990, 0),
                ('professional', 'Professional', 4999, 52490, 2500),
                ('enterprise', 'Enterprise', 9999, 109990, 10000);

            \(Comments.rateCardsAndPackages)
            """)
}

extension Comments {
    static let rateCardsAndPackages = statements(
        """
        rate_card: Dated, immutable price lists; superseded, never changed.
        rate_card.card: Name of the card.
        rate_card.version: Version of the card, as its file names it.
        rate_card.effective_from: The card is in force from this moment, or from applied_at when that is \
        later.
        rate_card.body: The YAML file.
        rate_card.sha256: SHA-256 of the body, hexadecimal.
        rate_card.applied_at: When it was applied.
        rate_card.applied_by: Who applied it.
        package: What can be bought. A changed offer is a new version; the old row stays, inactive.
        package.code: Name in the API.
        package.version: Counts the offers under this code.
        package.name: Name for people.
        package.price_usd_cents: Price in US cents.
        package.credits: Credits granted, bonus included.
        package.bonus_credits: Part of credits that is a gift.
        package.active: Whether it is on offer.
        """)
}

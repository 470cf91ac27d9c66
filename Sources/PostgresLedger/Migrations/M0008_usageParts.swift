extension Migration {
    /// Parts of usage that most exchanges do not have are kept with their outcome.
    static let usageParts = Migration(
        version: 8, name: "usage parts",
        sql: """
            -- NOT VALID spares the search through rows of which none has parts, under a lock that stops settlement.
            ALTER TABLE usage_events ADD COLUMN usage_parts jsonb;
            ALTER TABLE usage_correction ADD COLUMN usage_parts jsonb;
            \(wellFormed("usage_events"))
            \(wellFormed("usage_correction"))

            -- Columns of a view can be added at its end only.
            CREATE OR REPLACE VIEW usage_effective AS
            SELECT e.account_id, e.hold_id, e.user_id, \(payload("c")), c.batch_id, c.usage_parts
            FROM usage_events e CROSS JOIN LATERAL (
                SELECT \(payload("o")), o.batch_id, o.usage_parts FROM usage_correction o
                WHERE o.account_id = e.account_id AND o.hold_id = e.hold_id
                UNION ALL SELECT \(payload("e")), e.batch_id, e.usage_parts
                ORDER BY authority DESC LIMIT 1
            ) c;

            \(comments)

            -- With a default, so that instances of the release before go on settling: they have no parts to tell.
            DROP FUNCTION settle;
            DROP FUNCTION settle_in_parts;
            \(settleWithParts)
            \(settleInPartsWithParts)
            """)

    /// Whole numbers above 0 by name, at least one.
    private static func wellFormed(_ table: String) -> String {
        """
        ALTER TABLE \(table) ADD CONSTRAINT \(table)_parts_are_counts CHECK (
                usage_parts IS NULL OR (
                    jsonb_typeof(usage_parts) = 'object' AND usage_parts <> '{}'
                    AND NOT jsonb_path_exists(usage_parts, '$.* ? (@.type() != "number" || @ <= 0)'))) NOT VALID;
        """
    }

    private static func payload(_ row: String) -> String {
        [
            "kind", "authority", "model", "model_served", "endpoint", "service_tier", "input_tokens",
            "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "price_id",
            "charged_millicredits", "shadow_millicredits", "cost_picousd", "openai_request_id", "estimated",
            "estimate_reason", "occurred_at", "created_at",
        ].map { "\(row).\($0)" }.joined(separator: ", ")
    }

    private static let comments = Comments.statements(
        ["usage_events", "usage_correction", "usage_effective"].map { table in
            """
            \(table).usage_parts: Further parts of the usage by name, each above 0; NULL when there is none. Of \
            input_tokens: cache_write_12h_tokens, audio_input_tokens, audio_cached_input_tokens, \
            image_input_tokens, image_cached_input_tokens. Of output_tokens: audio_output_tokens, \
            image_output_tokens. Beside them: web_search_calls, web_search_preview_calls, file_search_calls, \
            input_milliseconds, characters.
            """
        }.joined(separator: "\n"))
}

extension Migration {
    /// Limits of requests, tokens and streams that differ from the configured ones.
    static let requestLimits = Migration(
        version: 9, name: "request limits",
        sql: """
            ALTER TABLE api_key
                ADD COLUMN requests_per_minute bigint CHECK (requests_per_minute BETWEEN 0 AND 1000000000),
                ADD COLUMN tokens_per_minute bigint CHECK (tokens_per_minute BETWEEN 0 AND 1000000000),
                ADD COLUMN streams_max bigint CHECK (streams_max BETWEEN 0 AND 1000000000);
            ALTER TABLE account
                ADD COLUMN requests_per_minute bigint CHECK (requests_per_minute BETWEEN 0 AND 1000000000),
                ADD COLUMN tokens_per_minute bigint CHECK (tokens_per_minute BETWEEN 0 AND 1000000000),
                ADD COLUMN streams_max bigint CHECK (streams_max BETWEEN 0 AND 1000000000);

            COMMENT ON COLUMN api_key.requests_per_minute IS
                'Requests per minute with this key; NULL = as configured (RATE_LIMIT_KEY_RPM), 0 = no limit.';
            COMMENT ON COLUMN api_key.tokens_per_minute IS
                'Tokens per minute with this key; NULL = as configured (RATE_LIMIT_KEY_TPM), 0 = no limit.';
            COMMENT ON COLUMN api_key.streams_max IS
                'Requests at a time with this key; NULL = as configured (RATE_LIMIT_KEY_STREAMS), 0 = no limit.';
            COMMENT ON COLUMN account.requests_per_minute IS
                'Requests per minute of this account; NULL = as configured (RATE_LIMIT_ACCOUNT_RPM), 0 = no limit.';
            COMMENT ON COLUMN account.tokens_per_minute IS
                'Tokens per minute of this account; NULL = as configured (RATE_LIMIT_ACCOUNT_TPM), 0 = no limit.';
            COMMENT ON COLUMN account.streams_max IS
                'Requests at a time of this account; NULL = as configured (RATE_LIMIT_ACCOUNT_STREAMS), 0 = no limit.';
            """)
}

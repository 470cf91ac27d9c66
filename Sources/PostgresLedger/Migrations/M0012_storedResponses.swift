extension Migration {
    /// Whose the responses are that OpenAI keeps.
    static let storedResponses = Migration(
        version: 12, name: "stored responses",
        sql: """
            -- Written by the statement that settles, so without a key to the account: a row that the ledger refuses for
            -- its account must not take the batch with it.
            CREATE TABLE stored_responses (
                response_id   text COLLATE "C" PRIMARY KEY CHECK (octet_length(response_id) BETWEEN 1 AND 128),
                account_id    bigint NOT NULL,
                model         text NOT NULL,
                input_tokens  bigint CHECK (input_tokens >= 0),
                output_tokens bigint CHECK (output_tokens >= 0),
                charged       boolean NOT NULL,
                created_at    timestamptz NOT NULL DEFAULT now(),
                CHECK ((input_tokens IS NULL) = (output_tokens IS NULL)),
                CHECK (charged OR input_tokens IS NULL)
            );
            CREATE INDEX stored_responses_by_age ON stored_responses (created_at);

            COMMENT ON TABLE stored_responses IS
                'Whose the responses are that OpenAI keeps, for 30 days; no money depends on a row.';
            COMMENT ON COLUMN stored_responses.response_id IS 'The id that OpenAI gave the response.';
            COMMENT ON COLUMN stored_responses.account_id IS
                'The account that made it, which alone may read it or go on from it.';
            COMMENT ON COLUMN stored_responses.model IS 'The model that was requested.';
            COMMENT ON COLUMN stored_responses.input_tokens IS
                'What it read, as OpenAI billed it; NULL when it is not known, or does not bound what follows.';
            COMMENT ON COLUMN stored_responses.output_tokens IS 'What it wrote; NULL with input_tokens.';
            COMMENT ON COLUMN stored_responses.charged IS
                'It was charged by its report, as a whole, and may be read again.';
            COMMENT ON COLUMN stored_responses.created_at IS 'When its settlement was posted.';
            """)
}

extension Comments {
    static let settlement =
        statements(
            """
            usage_events: Settlement rows: what one exchange consumed and was charged, one per hold. The \
            first row stays; a higher authority adds a usage_correction. Partitioned by the day in the \
            UUIDv7 hold_id.
            usage_events.account_id: The account that pays.
            usage_events.hold_id: UUIDv7 made by the proxy; the x-tollgate-request-id that the client saw.
            usage_events.user_id: The account's external name.
            usage_events.batch_id: Settlement batch; equals ledger_transaction.id when the batch moved money.
            usage_events_default: Rows of days without a partition. Must stay empty: a row here is an alarm.
            usage_correction: A later outcome of higher authority for a hold that was settled already.
            usage_correction.account_id: The account that pays.
            usage_correction.hold_id: The hold it corrects.
            usage_correction.delta_millicredits: Charge of this row minus the charge that counted before it.
            usage_correction.batch_id: Correction batch; equals ledger_transaction.id when it moved money.
            settlement_conflict: Final outcomes that differ from the final outcome that counts. For a person \
            to look at.
            settlement_conflict.account_id: The account.
            settlement_conflict.hold_id: The hold.
            settlement_conflict.digest: Digest of the outcome that was not posted.
            settlement_conflict.charged_millicredits: Its charge.
            settlement_conflict.row_text: Its row, as text.
            settlement_conflict.seen_at: When it came first.
            settlement_quarantine: Outcomes that the ledger refuses for good; they block nothing and wait \
            for a person.
            settlement_quarantine.quarantine_id: Number of the entry.
            settlement_quarantine.account_id: The account it names; it need not exist.
            settlement_quarantine.hold_id: The hold it names.
            settlement_quarantine.digest: Digest of the outcome.
            settlement_quarantine.sql_state: Why it was refused (PostgreSQL, appendix A; TG… are ours).
            settlement_quarantine.payload: The whole outcome in the journal's encoding.
            settlement_quarantine.seen_at: When it came first.
            proxy_instance: Runs of proxy processes and their heartbeats.
            proxy_instance.boot_id: UUIDv7 of the run; owner of its holds.
            proxy_instance.heartbeat: Counter; an instance is alive while it moves.
            proxy_instance.hostname: Where it runs.
            proxy_instance.started_at: When it registered.
            proxy_instance.heartbeat_at: Database time of the last heartbeat.
            """) + "\n" + ["usage_events", "usage_correction"].map(payload).joined(separator: "\n") + """

            COMMENT ON VIEW usage_effective IS
                'Every hold once, with the outcome that counts: usage_events, or its correction of highest \
                authority.';
            """

    private static func payload(_ table: String) -> String {
        statements(
            """
            \(table).kind: final (by the owner), void (proved free), orphan (owner died), waived (charging \
            was off).
            \(table).authority: 0 reaper's estimate, 1 owner's recovery, 2 owner's outcome.
            \(table).model: Model that was requested and priced.
            \(table).model_served: Model as the response named it.
            \(table).endpoint: chat, responses, completions, embeddings, moderations, images or audio.
            \(table).service_tier: Tier that was served, as the response named it.
            \(table).input_tokens: Total input as the API reports it.
            \(table).cached_input_tokens: Part of input_tokens read from the prompt cache.
            \(table).cache_write_tokens: Part of input_tokens written to the prompt cache.
            \(table).output_tokens: Total output as the API reports it.
            \(table).reasoning_tokens: Part of output_tokens that was hidden reasoning.
            \(table).price_id: card@version/model that was in force at admission.
            \(table).charged_millicredits: What the user pays.
            \(table).shadow_millicredits: What it would have been with charging on.
            \(table).cost_picousd: What the operator pays OpenAI, in 10^-12 USD.
            \(table).openai_request_id: x-request-id of the upstream response.
            \(table).estimated: The usage was not reported but estimated.
            \(table).estimate_reason: Why it was estimated.
            \(table).digest: Digest of the whole outcome; equal outcomes have equal digests.
            \(table).owner_boot: Run of the proxy that owned the hold.
            \(table).occurred_at: When the exchange was admitted.
            \(table).created_at: When the row was posted.
            """)
    }
}

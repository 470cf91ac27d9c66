import PostgresLedger

/// What is kept for retries with an `Idempotency-Key`, and for how long a run is left to its instance.
struct IdempotencySettings: Sendable {
    /// `IDEMPOTENCY_REPLY_BYTES_MAX`: of one body; 0: no reply is kept, and still nothing runs twice.
    var replyBytesMax = 1 << 20
    var replies = KeptReplies.Settings()

    init(_ reader: inout SettingsReader) {
        if let bytes = reader.integer("IDEMPOTENCY_REPLY_BYTES_MAX", in: 0...(64 << 20)) {
            self.replyBytesMax = Int(bytes)
        }
        if let bytes = reader.integer("IDEMPOTENCY_ACCOUNT_BYTES_MAX", in: 0...(1 << 40)) {
            self.replies.accountBytesMax = bytes
        }
        // Crash tests cannot wait for a minute. Not for operators: a lease shorter than a pause of the process lets a
        // retry run beside it.
        if let seconds = reader.integer("TOLLGATE_TEST_IDEMPOTENCY_LEASE_SECONDS", in: 1...600) {
            self.replies.lease = .seconds(seconds)
        }
    }

    /// So that several renewals may be lost.
    var renewalMilliseconds: Int64 { min(20_000, self.replies.lease.components.seconds * 1000 / 3) }
}

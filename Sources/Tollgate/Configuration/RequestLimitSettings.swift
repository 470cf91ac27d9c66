import Metering

/// Limits of keys and accounts for which the ledger has none of their own (CONTRACT §3); unset = no limit.
struct RequestLimitSettings: Sendable {
    /// `RATE_LIMIT_KEY_RPM`, `RATE_LIMIT_KEY_TPM`, `RATE_LIMIT_KEY_STREAMS`
    var key: RequestLimits
    /// `RATE_LIMIT_ACCOUNT_RPM`, `RATE_LIMIT_ACCOUNT_TPM`, `RATE_LIMIT_ACCOUNT_STREAMS`
    var account: RequestLimits

    init(_ reader: inout SettingsReader) {
        self.key = Self.limits("RATE_LIMIT_KEY", &reader)
        self.account = Self.limits("RATE_LIMIT_ACCOUNT", &reader)
    }

    private static func limits(_ prefix: String, _ reader: inout SettingsReader) -> RequestLimits {
        RequestLimits(
            requestsPerMinute: reader.integer(prefix + "_RPM", in: RequestLimits.range),
            tokensPerMinute: reader.integer(prefix + "_TPM", in: RequestLimits.range),
            streams: reader.integer(prefix + "_STREAMS", in: RequestLimits.range))
    }
}

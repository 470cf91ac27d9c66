/// One line of `verify-monitoring`.
struct MonitoringFinding: Equatable, Encodable {
    var check: String
    var isGood: Bool
    var detail: String

    var text: String { "\(self.isGood ? "✓" : "✗") \(self.check): \(self.detail)" }
}

/// What CONTRACT §9 promises under `/metrics`.
enum ContractMetrics {
    static let names = [
        "billing_credits_purchased_total", "billing_credits_deducted_total",
        "billing_402_insufficient_credits_total", "stripe_webhook_events_total",
        "stripe_webhook_failures_total", "finance_margin_daily_usd", "finance_liability_credits_usd",
        "finance_deferred_revenue_usd", "holds_open", "hold_age_seconds", "over_hold_total",
        "settlement_backlog", "settlement_batch_seconds", "journal_bytes", "redis_epoch_changes_total",
        "reconciliation_mismatch_millicredits", "usage_estimated_total", "proxy_requests_total",
        "proxy_overhead_seconds", "proxy_streams_open",
    ]
    /// Have no series before their first event.
    static let eventual: Set = ["stripe_webhook_events_total", "proxy_requests_total"]

    /// - Parameter exposition: Prometheus' text format.
    static func check(_ exposition: String) -> MonitoringFinding {
        let told = Set(
            exposition.split(separator: "\n").compactMap { line -> Substring? in
                let words = line.split(separator: " ")
                return words.count == 4 && words[0] == "#" && words[1] == "TYPE" ? words[2] : nil
            })
        let missing = Self.names.filter { !told.contains($0[...]) && !Self.eventual.contains($0) }
        return MonitoringFinding(
            check: "metrics", isGood: missing.isEmpty,
            detail: missing.isEmpty
                ? "all of CONTRACT §9 are told" : "missing: \(missing.joined(separator: ", "))")
    }
}

import Billing
import Metering
import PostgresLedger
import Synchronization

/// What was last read of books and reconciliations. A scrape asks nobody: `FinanceParts` refreshes it.
final class FinanceGauges: MetricSource {
    struct Reading: Sendable {
        /// nil: no instance has read them yet.
        var books: FinanceReading?
        var standing: StandingDifferences?
        /// Events of Stripe that need a person.
        var deadEvents: Int64 = 0
        /// Seconds since 1970.
        var lastComplete: Int64?
    }

    private let reading = Mutex<Reading?>(nil)

    func update(_ reading: Reading) { self.reading.withLock { $0 = reading } }

    /// Empty until something was read: a gauge of zero would be an answer.
    func samples() -> [MetricSample] {
        guard let reading = self.reading.withLock({ $0 }) else { return [] }
        var samples = reading.books.map(Self.samples) ?? []
        if let standing = reading.standing {
            samples.append(
                MetricSample(
                    "reconciliation_mismatch_millicredits",
                    help: "Sum of the absolute differences that stand after the last reconciliations.",
                    kind: .gauge,
                    value: ExactDecimal(coefficient: standing.mismatch, scale: 0)))
            samples += ReconciliationCheck.allCases.map { check in
                MetricSample(
                    "reconciliation_findings", help: "Differences that stand after the last reconciliations.",
                    kind: .gauge, labels: [.init("check", check.rawValue)],
                    count: Int(standing.findings[check] ?? 0))
            }
        }
        samples.append(
            MetricSample(
                "stripe_dead_events", help: "Events of Stripe that need a person.",
                kind: .gauge, count: Int(reading.deadEvents)))
        if let seconds = reading.lastComplete {
            samples.append(
                MetricSample(
                    "reconciliation_last_success_seconds",
                    help: "When the last reconciliation ended that could ask every side; seconds since 1970.",
                    kind: .gauge, count: Int(seconds)))
        }
        return samples
    }

    private static func samples(_ books: FinanceReading) -> [MetricSample] {
        [
            Self.dollars(
                "finance_deferred_revenue_usd", "Paid for and not yet used.", books.deferredRevenue),
            Self.dollars("finance_liability_credits_usd", "Outstanding credits / 1000.", books.liability),
            Self.dollars(
                "finance_margin_daily_usd", "Deducted credits / 1000 less OpenAI's cost, of yesterday (UTC).",
                books.margin),
            MetricSample(
                "books_lag_lines", help: "Ledger lines that the books have not seen.", kind: .gauge,
                count: Int(books.lagLines)),
            MetricSample(
                "finance_read_seconds",
                help: "When one instance read the figures above for all; seconds since 1970.", kind: .gauge,
                count: Int(books.readAt)),
        ]
    }

    /// A micro-dollar has six digits after the point.
    private static func dollars(_ name: String, _ help: String, _ microUSD: Int128) -> MetricSample {
        MetricSample(
            name, help: help, kind: .gauge, value: ExactDecimal(coefficient: microUSD, scale: 6))
    }
}

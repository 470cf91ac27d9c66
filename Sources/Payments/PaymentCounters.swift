import Billing
import Metering
import Synchronization

/// What is counted of purchases and events; read at scrape time.
public final class PaymentCounters: MetricSource {
    /// Reasons are closed sets of ours; this bounds a mistake.
    private static let labelsMax = 100

    private struct State {
        var credits: [String: Int] = [:]
        var events: [String: Int] = [:]
        var failures: [String: Int] = [:]
        var recharges: [String: Int] = [:]
    }

    private let state = Mutex(State())

    public init() {}

    func purchased(_ purchase: Purchase) {
        self.state.withLock {
            Self.add(Int(purchase.credits.value / 1000), purchase.packageCode, to: &$0.credits)
        }
    }

    /// Types that are of no interest share a label.
    func arrived(_ type: String) {
        let label = StripeEventKind.paymentTypes.contains(type) ? type : "other"
        self.state.withLock { Self.add(1, label, to: &$0.events) }
    }

    /// - Parameter outcome: charged, or a `RechargeFailure`.
    func recharged(_ outcome: String) {
        self.state.withLock { Self.add(1, outcome, to: &$0.recharges) }
    }

    func failed(_ reason: String) {
        self.state.withLock { Self.add(1, reason, to: &$0.failures) }
    }

    private static func add(_ count: Int, _ label: String, to counts: inout [String: Int]) {
        guard counts[label] != nil || counts.count < Self.labelsMax else { return }
        counts[label, default: 0] += count
    }

    public func samples() -> [MetricSample] {
        let state = self.state.withLock { $0 }
        return Self.samples(
            "billing_credits_purchased_total", "Credits granted for payments.", "package", state.credits)
            + Self.samples(
                "stripe_webhook_events_total", "Events of Stripe that arrived.", "type", state.events)
            + Self.samples(
                "billing_recharges_total", "Answers to charges of saved cards.", "outcome", state.recharges)
            + Self.samples(
                "stripe_webhook_failures_total", "Events of Stripe that were refused, or need a person.",
                "reason",
                state.failures.isEmpty ? ["none": 0] : state.failures)
    }

    private static func samples(
        _ name: String, _ help: String, _ label: String, _ counts: [String: Int]
    ) -> [MetricSample] {
        counts.sorted { $0.key < $1.key }.map {
            MetricSample(name, help: help, kind: .counter, labels: [.init(label, $0.key)], count: $0.value)
        }
    }
}

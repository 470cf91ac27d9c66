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
        var deliveries: [String: Int] = [:]
        var checkouts: [String: Int] = [:]
        var paid: [String: Int] = [:]
        /// From the making of an event at Stripe until it was applied here.
        var lateness = TimeHistogram(
            boundsMicroseconds: [1, 2, 5, 10, 30, 60, 120, 300, 900, 3600, 86_400].map { $0 * 1_000_000 })

        init() {
            // A rate needs the series before the first failure.
            for refusal in WebhookRefusal.allCases { self.failures[refusal.rawValue] = 0 }
            for defect in StripeEventKind.Defect.allCases { self.failures[defect.rawValue] = 0 }
            self.failures[PaymentCounters.tryAgain] = 0
            for answer in ["accepted", "refused", "unsigned", "try_again", "not_configured"] {
                self.deliveries[answer] = 0
            }
        }
    }

    static let tryAgain = "try_again"

    private let state = Mutex(State())

    public init() {}

    func purchased(_ purchase: Purchase) {
        self.state.withLock {
            Self.add(Int(purchase.credits.value / 1000), purchase.packageCode, to: &$0.credits)
            if purchase.kind == .checkout { Self.add(1, purchase.packageCode, to: &$0.paid) }
        }
    }

    /// A page was opened on which a purchase can be paid.
    func checkedOut(_ packageCode: String) {
        self.state.withLock { Self.add(1, packageCode, to: &$0.checkouts) }
    }

    /// An event was applied for the first time.
    func applied(secondsLate: Int64) {
        let seconds = min(max(0, secondsLate), Int64.max / 1_000_000_000)
        self.state.withLock { $0.lateness.add(nanoseconds: seconds * 1_000_000_000) }
    }

    func answered(_ answer: WebhookAnswer) {
        let label =
            switch answer {
            case .accepted: "accepted"
            // Anybody can send what is not signed; that is no failure of Stripe's.
            case .refused(.noSignature), .refused(.malformedSignature), .refused(.wrongSignature): "unsigned"
            case .refused(.badlyTimed), .refused(.unreadable): "refused"
            case .tryAgain: Self.tryAgain
            case .notConfigured: "not_configured"
            }
        self.state.withLock { Self.add(1, label, to: &$0.deliveries) }
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
                "reason", state.failures)
            + Self.samples(
                "stripe_webhook_deliveries_total", "Answers to deliveries of Stripe.", "answer",
                state.deliveries)
            + Self.samples(
                "billing_checkouts_total", "Pages opened on which a package can be paid.", "package",
                state.checkouts)
            + Self.samples(
                "billing_checkouts_paid_total", "Packages that were paid on such a page.", "package",
                state.paid)
            + state.lateness.samples(
                "stripe_webhook_apply_seconds",
                help:
                    "From the making of an event at Stripe until it was applied, events that came twice once."
            )
    }

    private static func samples(
        _ name: String, _ help: String, _ label: String, _ counts: [String: Int]
    ) -> [MetricSample] {
        counts.sorted { $0.key < $1.key }.map {
            MetricSample(name, help: help, kind: .counter, labels: [.init(label, $0.key)], count: $0.value)
        }
    }
}

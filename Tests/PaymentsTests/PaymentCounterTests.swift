import Billing
import Metering
import Testing

@testable import Payments

/// Labels are bounded, whatever arrives.
@Suite struct PaymentCounterTests {
    @Test func typesOfNoInterestShareALabel() {
        let counters = PaymentCounters()
        for index in 0..<500 { counters.arrived("customer.kind_\(index)") }
        counters.arrived("charge.refunded")
        let events = counters.samples().filter { $0.name == "stripe_webhook_events_total" }
        #expect(events.map(\.labels) == [[.init("type", "charge.refunded")], [.init("type", "other")]])
        #expect(events.map(\.value.coefficient) == [1, 500])
    }

    /// An alert on a rate needs the series before the first failure.
    @Test func failuresAreThereBeforeTheFirst() {
        let failures = PaymentCounters().samples().filter { $0.name == "stripe_webhook_failures_total" }
        let reasons = Set(failures.flatMap { $0.labels.map(\.value) })
        let known = WebhookRefusal.allCases.map(\.rawValue) + StripeEventKind.Defect.allCases.map(\.rawValue)
        #expect(reasons == Set(known + ["try_again"]) && failures.allSatisfy { $0.value.coefficient == 0 })
        let counters = PaymentCounters()
        for index in 0..<500 { counters.failed("reason_\(index)") }
        #expect(counters.samples().count { $0.name == "stripe_webhook_failures_total" } == 100)
    }

    /// What strangers send must not look like deliveries of Stripe that failed.
    @Test func whatNobodySignedIsAnAnswerOfItsOwn() {
        let counters = PaymentCounters()
        for refusal in WebhookRefusal.allCases { counters.answered(.refused(refusal)) }
        let answers = counters.samples().filter { $0.name == "stripe_webhook_deliveries_total" }
        let counts = Dictionary(
            uniqueKeysWithValues: answers.map { ($0.labels[0].value, $0.value.coefficient) })
        #expect(
            counts == ["accepted": 0, "refused": 2, "unsigned": 3, "try_again": 0, "not_configured": 0])
    }

    /// "Within five minutes" is what is promised of events: the bound must be a bucket.
    @Test func latenessIsCountedUpToFiveMinutes() {
        let counters = PaymentCounters()
        for seconds: Int64 in [-3, 2, 300, 301, .max] { counters.applied(secondsLate: seconds) }
        let buckets = counters.samples().filter { $0.name == "stripe_webhook_apply_seconds" }
        func count(_ bound: String) -> Int128? {
            buckets.first { $0.labels == [.init("le", bound)] }?.value.coefficient
        }
        #expect(count("300") == 3 && count("+Inf") == 5)
    }
}

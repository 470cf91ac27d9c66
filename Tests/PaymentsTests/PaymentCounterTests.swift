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
        let samples = PaymentCounters().samples()
        #expect(samples.map(\.name) == ["stripe_webhook_failures_total"])
        let counters = PaymentCounters()
        for index in 0..<500 { counters.failed("reason_\(index)") }
        #expect(counters.samples().count == 100)
    }
}

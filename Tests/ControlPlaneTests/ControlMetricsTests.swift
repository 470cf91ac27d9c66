import Billing
import Metering
import Testing

@testable import ControlPlane

/// What an alert on slow or failing billing endpoints is made of.
@Suite struct ControlMetricsTests {
    /// The label is the route as declared: a path holds days and names, and there is no end of them.
    @Test func repliesAreCountedByRouteAndStatus() async throws {
        let rig = ControlRig()
        _ = try await rig.get("/api/billing/summary", FakeLedger.adaKey)
        _ = try await rig.get("/api/billing/summary")
        for month in 1...9 { _ = try await rig.get("/api/billing/statements/2026-0\(month).csv") }
        for guess in ["/api/nowhere", "/x/y", "/api/billing/summary/x"] { _ = try await rig.get(guess) }
        let samples = rig.metrics.samples()
        let answers = samples.filter { $0.name == "billing_requests_total" }
        let counts = Dictionary(
            uniqueKeysWithValues: answers.map { ($0.labels.map(\.value).joined(separator: " "), $0.value) })
        func count(_ key: String) -> Int128? { counts[key]?.coefficient }
        #expect(count("/api/billing/summary 200") == 1 && count("/api/billing/summary 401") == 1)
        #expect(count("none 404") == 3)
        #expect(answers.count == 4, "one series for all statements: \(counts)")
        let times = samples.filter { $0.name == "billing_request_seconds" && $0.suffix == "_count" }
        #expect(times.map(\.value.coefficient).reduce(0, +) == 14)
    }

    /// A kill switch is no outage: the availability rules leave out what carries this label, and nothing else.
    @Test(arguments: [
        (CheckoutRefusal.purchasesDisabled, "switched_off" as String?), (.notConfigured, nil),
        (.stripeUnavailable, nil), (.ledgerUnavailable, nil),
    ]) func whatAnOperatorSwitchedOffIsToldFromWhatFails(_ refusal: CheckoutRefusal, _ cause: String?)
        async throws
    {
        let rig = ControlRig(desk: FakeDesk(refusing: refusal))
        let body =
            #"{"packageCode":"starter","successUrl":"https://a.test/1","cancelUrl":"https://a.test/2"}"#
        let reply = try await rig.send(
            .post, "/api/stripe/create-checkout-session", FakeLedger.adaKey, body: body)
        #expect(reply.status == 503)
        #expect(Self.causes(rig) == [cause])
    }

    @Test func aRechargeThatIsNotOfferedIsSwitchedOff() async throws {
        let rig = ControlRig(recharges: FakeRecharges(refusing: .notEnabled))
        let reply = try await rig.get("/api/billing/auto-recharge", FakeLedger.adaKey)
        #expect(reply.status == 503 && Self.causes(rig) == ["switched_off"])
    }

    /// Customers buy on the page: it counts for availability as the API does.
    @Test func aPurchaseOnThePageIsToldInTheSameWay() async throws {
        for (refusal, cause) in [
            (CheckoutRefusal.purchasesDisabled, "switched_off" as String?), (.stripeUnavailable, nil),
        ] {
            let rig = PortalRig(desk: FakeDesk(refusing: refusal))
            let session = rig.portal.signIn(2)
            let reply = try await rig.post(
                "/billing/buy", "csrf=\(session.token.csrf)&package=starter", cookie: session.cookie)
            #expect(reply.status == 503 && Self.causes(rig.rig) == [cause])
        }
    }

    private static func causes(_ rig: ControlRig) -> [String?] {
        rig.metrics.samples().filter { $0.name == "billing_requests_total" }
            .map { sample in sample.labels.first { $0.name == "cause" }?.value }
    }
}

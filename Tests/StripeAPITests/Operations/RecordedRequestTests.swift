import Foundation
import Testing

@testable import StripeAPI

/// `Tests/IntegrationTests/stripe_requests.json` holds every request we make as it goes over the wire, and
/// test_stripe_requests.py checks that file against the typed parameters of Stripe's own Python package. This
/// test keeps the file true. After a change: `TOLLGATE_RECORD=1`, then look at the difference.
@Suite struct RecordedRequestTests {
    private struct Recorded: Codable, Equatable {
        var operation: String
        var method: String
        var target: String
        var headers: [String: String]
        var body: String
    }

    private static let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../IntegrationTests/stripe_requests.json")

    @Test func everyRequestIsTheOneThatWasChecked() throws {
        let key = try StripeKey.test()
        let base = try OutboundBase(parsing: StripeClient.defaultBase)
        let requests = Self.requests.map { name, request in
            let http = request.http(base, key: key, userAgent: "Tollgate/1", timeout: .seconds(30))
            let headers = http.headers.filter { $0.name != "Authorization" }.map { ($0.name, $0.value) }
            return Recorded(
                operation: name, method: http.method.rawValue, target: http.target,
                headers: Dictionary(headers) { first, _ in first },
                body: String(decoding: http.body, as: UTF8.self))
        }
        if ProcessInfo.processInfo.environment["TOLLGATE_RECORD"] != nil {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try (try encoder.encode(requests) + Data("\n".utf8)).write(to: Self.file)
        }
        let recorded = try JSONDecoder().decode([Recorded].self, from: Data(contentsOf: Self.file))
        #expect(requests.map(\.operation) == recorded.map(\.operation))
        for (request, expected) in zip(requests, recorded) { #expect(request == expected) }
    }

    private static var requests: [(String, StripeRequest)] {
        Self.checkout + Self.customers + Self.payments + Self.listings
    }

    private static let metadata = ["tollgate_purchase": "0190-aa", "tollgate_account": "42"]

    private static var checkout: [(String, StripeRequest)] {
        var first = CreateCheckoutSession(
            lineItem: .init(name: "Starter: 9,990 credits & more", unitAmountCents: 999),
            successURL: "https://t.example/billing?success=true&session_id={CHECKOUT_SESSION_ID}",
            cancelURL: "https://t.example/billing", clientReferenceID: "0190-aa", metadata: Self.metadata,
            customer: nil, idempotencyKey: "tollgate:checkout:0190-aa")
        let ofNobody = first.request
        first.customer = "cus_1"
        first.savesPaymentMethod = true
        first.expiresAt = 1_790_003_600
        return [
            ("CreateCheckoutSession", ofNobody), ("CreateCheckoutSession", first.request),
            ("RetrieveCheckoutSession", RetrieveCheckoutSession("cs_test_1").request),
            (
                "ExpireCheckoutSession",
                ExpireCheckoutSession("cs_test_1", idempotencyKey: "tollgate:expire:0190-aa").request
            ),
        ] + Self.pages("ListCheckoutSessions", ListCheckoutSessions(ofPaymentIntent: "pi_1"), [])
    }

    private static var customers: [(String, StripeRequest)] {
        let customer = CreateCustomer(
            email: "a+b@c.example", metadata: Self.metadata, idempotencyKey: "tollgate:customer:42")
        let payment = CreateOffSessionPayment(
            amountCents: 999, customer: "cus_1", paymentMethod: "pm_1", description: "Starter",
            metadata: Self.metadata, idempotencyKey: "tollgate:recharge:0190-aa")
        let methods = #"{"id":"pm_9","type":"card","livemode":false}"#
        return [("CreateCustomer", customer.request), ("CreateOffSessionPayment", payment.request)]
            + Self.pages("ListPaymentMethods", ListPaymentMethods(ofCustomer: "cus_1"), [methods])
    }

    private static var payments: [(String, StripeRequest)] {
        var part = CreateRefund.example
        part.reason = .requestedByCustomer
        var whole = CreateRefund.example
        whole.amountCents = nil
        var rehearsal = Rehearsal<ReadPayment>()
        _ = try? rehearsal.run(
            ReadPayment("pi_1"),
            [
                Replies.reply(Replies.intent()), Replies.page([Replies.refund("re_9")], more: true),
                Replies.page([]),
                Replies.page([Replies.dispute("du_9")], more: true),
            ])
        let read = rehearsal.asked.map { request in ("ReadPayment." + request.path[0], request) }
        return [("CreateRefund", part.request), ("CreateRefund", whole.request)] + read
    }

    private static var listings: [(String, StripeRequest)] {
        let window = CreationWindow(from: 1_790_000_000, to: 1_790_086_400)
        return [("RetrieveAccount", RetrieveAccount().request)]
            + Self.pages("RetrieveEvent", RetrieveEvent("evt_1"), [])
            + Self.pages(
                "ListEvents",
                ListEvents(
                    created: CreationWindow(from: 1_790_000_000),
                    types: ["charge.refunded", "checkout.session.completed"], onlyUndelivered: true),
                [Replies.event("evt_9")])
            + Self.pages(
                "ListPaymentIntents", ListPaymentIntents(created: window), [Replies.intent(id: "pi_9")])
            + Self.pages("ListCharges", ListCharges(created: window), [Replies.charge()])
            + Self.pages("ListRefunds", ListRefunds(created: window), [Replies.refund("re_1")])
            + Self.pages("ListDisputes", ListDisputes(created: window), [Replies.dispute("du_9")])
            + Self.pages(
                "ListBalanceTransactions", ListBalanceTransactions(created: window),
                [Replies.transaction("txn_9")])
            + Self.pages("ListWebhookEndpoints", ListWebhookEndpoints(), [])
    }

    /// The first request of an operation, and the one after a page of these items.
    private static func pages<Operation: StripeOperation>(
        _ name: String, _ operation: Operation, _ items: [String]
    ) -> [(String, StripeRequest)] {
        var rehearsal = Rehearsal<Operation>()
        _ = try? rehearsal.run(operation, items.isEmpty ? [] : [Replies.page(items, more: true)])
        return rehearsal.asked.map { (name, $0) }
    }
}

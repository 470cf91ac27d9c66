import Billing
import Foundation
import StripeAPI

/// Money in: a purchase in test mode, from the order to an event that comes again.
extension SmokeRun {
    /// How often an event is delivered again, by each secret.
    private static let deliveries = 2

    mutating func checkOut() async throws -> String? {
        guard let stripe = self.stripe else {
            throw SmokeStop.skipped("without STRIPE_SECRET_KEY (a test key) no purchase can be paid")
        }
        guard !stripe.isLive else {
            throw SmokeStop.skipped("no program buys in live mode; buy a package by hand")
        }
        // Price and credits are the server's: these must make no difference.
        let order = """
            {"packageCode":"starter","successUrl":"\(self.settings.publicURL)/billing?success=true",\
            "cancelUrl":"\(self.settings.publicURL)/billing","priceUsdCents":1,"amount":1,"credits":1000000000}
            """
        let reply = try await self.deployment.post(
            "/api/stripe/create-checkout-session", as: .user(self.user), order)
        let page = try self.deployment.json(reply, "create-checkout-session")
        guard let session = page["sessionId"]?.text, let purchase = page["purchaseId"]?.text,
            page["url"]?.text?.hasPrefix("http") == true
        else { throw SmokeStop.failed("'sessionId', 'url' and 'purchaseId' must be there") }
        self.purchase = Purchase(id: purchase, session: session)
        let atStripe = try await self.ask(stripe, RetrieveCheckoutSession(session))
        guard atStripe.amountTotalCents == SmokeExpectations.starterCents, atStripe.currency == "usd" else {
            throw SmokeStop.failed(
                "Stripe would charge \(atStripe.amountTotalCents ?? 0) \(atStripe.currency ?? "?") "
                    + "instead of \(SmokeExpectations.starterCents) US cents")
        }
        guard atStripe.metadata[Billing.Purchase.purchaseKey] == purchase else {
            throw SmokeStop.failed(
                "the session at Stripe does not name the purchase, so no payment would be found")
        }
        return "purchase \(purchase)"
    }

    mutating func pay() async throws -> String? {
        guard let stripe = self.stripe, let payment = self.settings.stripe?.payment,
            let purchase = self.purchase
        else { throw SmokeStop.skipped("nothing was ordered") }
        switch payment {
        case .page: try await self.press(purchase)
        case .card:
            let paid = try await self.ask(stripe, TestCardPayment(purchase: purchase.id))
            guard paid.status == "succeeded" else {
                throw SmokeStop.failed("Stripe's test card was not charged: \(paid.status.prefix(32))")
            }
            self.purchase?.payment = paid.id
        }
        self.isPaid = true
        let wanted = SmokeExpectations.starterMillicredits
        let balance = try await self.eventually(
            "the payment was made and nothing was granted; look at the webhook endpoint at Stripe and "
                + "`tollgate stripe listen-check`; no credits"
        ) {
            let balance = try await self.balance(of: self.user)
            return balance > 0 ? balance : nil
        }
        guard balance == wanted else {
            throw SmokeStop.failed("granted are \(balance) millicredits instead of \(wanted)")
        }
        try await self.demandOneGrant(purchase.id)
        return "+9,990 credits"
    }

    func repeatEvent() async throws -> String? {
        guard let stripe = self.stripe, let purchase = self.purchase, self.isPaid else {
            throw SmokeStop.skipped("nothing was bought")
        }
        guard !self.settings.signingSecrets.isEmpty else {
            throw SmokeStop.skipped("without STRIPE_WEBHOOK_SECRET nothing can be signed")
        }
        let event = try await self.event(of: purchase, stripe)
        for (index, secret) in self.settings.signingSecrets.enumerated() {
            for _ in 0..<Self.deliveries {
                let reply = try await self.deliver(event.json, secret)
                guard reply.status / 100 == 2 else {
                    throw SmokeStop.failed(
                        "secret \(index + 1) of STRIPE_WEBHOOK_SECRET: the webhook "
                            + SmokeDeployment.answered(reply))
                }
            }
        }
        guard let forger = StripeSigningSecret("whsec_" + Self.randomText() + "0000000000000000") else {
            preconditionFailure("letters and digits are a secret")
        }
        let forged = try await self.deliver(event.json, forger)
        guard forged.status == 400 else {
            throw SmokeStop.failed("an event with a forged signature \(SmokeDeployment.answered(forged))")
        }
        let balance = try await self.balance(of: self.user)
        guard balance == SmokeExpectations.starterMillicredits else {
            throw SmokeStop.failed("after the event came again the balance is \(balance) millicredits")
        }
        try await self.demandOneGrant(purchase.id)
        return "\(event.type), \(Self.deliveries * self.settings.signingSecrets.count) times more"
    }

    // MARK: Private

    private func demandOneGrant(_ purchase: String) async throws {
        let lines = try await self.entries("/api/billing/ledger", of: self.user)
        let grants = lines.filter { $0["type"]?.text == "purchase" && $0["purchaseId"]?.text == purchase }
        guard grants.count == 1, lines.count == 1 else {
            throw SmokeStop.failed(
                "the ledger of the user has \(lines.count) lines, \(grants.count) of them of the purchase, "
                    + "instead of one")
        }
        guard grants[0]["amountMillicredits"]?.integerText == SmokeExpectations.starterMillicredits else {
            throw SmokeStop.failed("the ledger's line of the purchase has another amount")
        }
    }

    /// The mock's page has no key; its control path presses the button.
    private func press(_ purchase: Purchase) async throws {
        guard let base = self.settings.stripe?.base else { return }
        let request = OutboundRequest(
            .post, base, target: "/_mock/pay", headers: [.init("Content-Type", "application/json")],
            body: Array("{\"session\":\"\(purchase.session)\",\"with\":\"card\"}".utf8))
        let reply: OutboundReply
        do throws(OutboundFailure) {
            reply = try await self.deployment.http.send(request)
        } catch {
            throw SmokeStop.failed("the mock of Stripe was not reached: \(error.label)")
        }
        guard reply.status == 200 else {
            throw SmokeStop.failed("the mock of Stripe answered \(reply.status) to the payment")
        }
    }

    private func event(of purchase: Purchase, _ stripe: StripeClient) async throws -> StripeEvent {
        let subject = purchase.payment ?? purchase.session
        let type = purchase.payment == nil ? "checkout.session.completed" : "payment_intent.succeeded"
        let window = CreationWindow(from: self.startedAt - 300)
        return try await self.eventually("Stripe lists no \(type) of this purchase") {
            try await self.ask(stripe, ListEvents(created: window, types: [type]))
                .first { $0.subject.id == subject }
        }
    }

    private func deliver(_ json: String, _ secret: StripeSigningSecret) async throws -> OutboundReply {
        let now = Clock.wallMilliseconds() / 1000
        let signature = Array(json.utf8).withUnsafeBytes {
            StripeSignature.header(body: $0, secret: secret, at: now)
        }
        return try await self.deployment.post(
            "/api/stripe/webhook", as: .nobody, json, [.init("Stripe-Signature", signature)])
    }

    func ask<Operation: StripeOperation>(
        _ stripe: StripeClient, _ operation: Operation
    ) async throws -> Operation.Output {
        do throws(StripeFailure) {
            return try await stripe.run(operation, within: .seconds(30))
        } catch {
            throw SmokeStop.failed(
                "Stripe said \(error.label); is STRIPE_SECRET_KEY of the account and mode that the deployment has?"
            )
        }
    }
}

/// Pays a purchase of the smoke test with Stripe's test card. The payment names the purchase as a checkout page's does.
struct TestCardPayment: StripeCall {
    typealias Output = PaymentIntent
    var purchase: String

    var request: StripeRequest {
        StripeRequest(
            .post(idempotencyKey: "smoke-" + self.purchase), ["payment_intents"],
            [
                "amount": .integer(SmokeExpectations.starterCents), "currency": "usd",
                "payment_method": "pm_card_visa", "confirm": true,
                "automatic_payment_methods": ["enabled": true, "allow_redirects": "never"],
                "description": "smoke test", "metadata": .map([Purchase.purchaseKey: self.purchase]),
            ])
    }
}

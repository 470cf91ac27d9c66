import Billing
import Foundation
import HTTPTypes
import Hummingbird
import Metering

/// `POST /api/stripe/create-checkout-session` and `POST /api/stripe/webhook`.
struct StripeRoutes: Sendable {
    let credentials: Credentials
    let checkouts: any CheckoutDesk
    let webhooks: any WebhookDesk

    private static let orderBytesMax = 16 << 10
    /// Stripe's own events stay far below it.
    private static let eventBytesMax = 256 << 10

    func add(to table: inout RouteTable) {
        table.post("/api/stripe/create-checkout-session", access: .account, Self.checkoutOperation) {
            try await self.checkOut($0, $1)
        }
        table.post("/api/stripe/webhook", access: .signature, Self.webhookOperation) { request, _ in
            try await self.receive(request)
        }
    }

    private static let checkoutOperation = Operation(
        .purchases, "createCheckoutSession", "Open Stripe's page for a package.",
        body: .object([
            .init("packageCode", .string), .init("successUrl", .string(format: "uri")),
            .init("cancelUrl", .string(format: "uri")),
        ]),
        reply: .object([.init("sessionId", .string), .init("url", .string), .init("purchaseId", .string)]),
        errors: [.tooManyRequests, .badGateway])

    private static let webhookOperation = Operation(
        .purchases, "stripeWebhook", "An event of Stripe; answered after it is stored.",
        body: .object([]), reply: .object([.init("received", .boolean)]))

    // MARK: Checkout

    /// Price and credits are the package's: other members are not read.
    private struct Order: Decodable {
        var packageCode: String?
        var successUrl: String?
        var cancelUrl: String?
    }

    private func checkOut(_ request: Request, _ context: ControlContext) async throws -> Response {
        let account = try await self.credentials.account(of: request)
        guard !account.suspended else { throw APIError.accountSuspended }
        let body = try await request.body.collect(upTo: Self.orderBytesMax)
        guard let order = try? JSONDecoder().decode(Order.self, from: Data(body.readableBytesView)) else {
            throw APIError.badRequest(
                "body",
                "The body must be a JSON object whose 'packageCode', 'successUrl' and 'cancelUrl' are strings."
            )
        }
        let code = try Self.required(order.packageCode, "packageCode")
        let success = try Self.required(order.successUrl, "successUrl")
        let cancel = try Self.required(order.cancelUrl, "cancelUrl")
        let started: StartedCheckout
        do throws(CheckoutRefusal) {
            started = try await self.checkouts.checkOut(
                code, for: account.account, successURL: success, cancelURL: cancel)
        } catch {
            throw Self.error(error, code)
        }
        return JSONValue.object([
            ("sessionId", .string(started.session)), ("url", .string(started.url)),
            ("purchaseId", .string(started.purchase.description)),
        ]).response()
    }

    private static func required(_ value: String?, _ field: String) throws -> String {
        guard let value, !value.isEmpty else { throw APIError.badRequest(field, "'\(field)' is missing.") }
        return value
    }

    static func error(_ refusal: CheckoutRefusal, _ packageCode: String) -> APIError {
        switch refusal {
        case .purchasesDisabled:
            APIError(
                status: .serviceUnavailable,
                message: "Purchases are paused at the moment; nothing was charged.",
                code: "purchases_disabled", isSwitchedOff: true)
        case .notConfigured:
            APIError(
                status: .serviceUnavailable,
                message: "Purchases are not set up here: STRIPE_SECRET_KEY is not set.",
                code: "purchases_not_configured")
        case .unknownPackage:
            .badRequest("packageCode", "There is no package '\(packageCode.prefix(64))'.")
        case .tooMany:
            APIError(
                status: .tooManyRequests,
                message: "Too many unpaid checkouts in the last hour; pay one of them, or try again later.",
                code: "rate_limited", headers: [.retryAfter: "600"])
        case .returnURL(let refusal):
            .badRequest(refusal.field.rawValue, "'\(refusal.field.rawValue)' \(Self.text(refusal.reason)).")
        case .refusedByStripe:
            APIError(
                status: .badGateway, message: "Stripe refused to open a checkout page; nothing was charged.",
                code: "stripe_refused")
        case .stripeUnavailable:
            APIError(
                status: .serviceUnavailable, message: "Stripe does not answer right now; try again.",
                code: "stripe_unavailable", headers: [.retryAfter: "5"])
        case .ledgerUnavailable: .unavailable
        }
    }

    private static func text(_ reason: ReturnURLs.Reason) -> String {
        switch reason {
        case .malformed: "must be a whole URL"
        case .insecure: "must begin with https://"
        case .originNotAllowed: "must be on this service's own site, PUBLIC_URL or one of CORS_ORIGINS"
        case .template: "must not contain braces or a session_id of its own"
        }
    }

    // MARK: Webhook

    private func receive(_ request: Request) async throws -> Response {
        let signature = request.headers[.stripeSignature]
        let body = try await request.body.collect(upTo: Self.eventBytesMax)
        switch await self.webhooks.receive(Array(body.readableBytesView), signature: signature) {
        case .accepted:
            return JSONValue.object([("received", .bool(true))]).response()
        case .refused(let refusal):
            throw APIError(
                status: .badRequest, message: "This is not an event that Stripe signed for us now.",
                code: refusal.rawValue)
        case .tryAgain: throw APIError.unavailable
        case .notConfigured:
            throw APIError(
                status: .serviceUnavailable,
                message: "STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET are not set here.",
                code: "purchases_not_configured")
        }
    }
}

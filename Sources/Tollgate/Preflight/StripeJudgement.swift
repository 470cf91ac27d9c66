import Billing
import StripeAPI

/// Whether Stripe and the deployment fit together; pure.
enum StripeJudgement {
    /// - Parameter publicKey: `VITE_STRIPE_PUBLIC_KEY`.
    static func mode(isLive: Bool, publicKey: String?, base: OutboundBase) -> [PreflightLine] {
        var lines: [PreflightLine] = []
        if !isLive { lines.append(.warning("stripe-mode", "test keys: nobody can pay with money")) }
        switch publicKey {
        case nil: lines.append(.warning("stripe-mode", "VITE_STRIPE_PUBLIC_KEY is not set"))
        case .some(let key) where !key.hasPrefix(isLive ? "pk_live_" : "pk_test_"):
            lines.append(
                .failed("stripe-mode", "VITE_STRIPE_PUBLIC_KEY is not of the mode of STRIPE_SECRET_KEY"))
        case .some: break
        }
        if base.description != StripeClient.defaultBase {
            lines.append(.warning("stripe-mode", "STRIPE_API_BASE is \(base), not Stripe"))
        }
        return lines
    }

    static func endpoints(
        _ endpoints: [WebhookEndpoint], publicURL: String, isLive: Bool
    ) -> [PreflightLine] {
        let url = publicURL + "/api/stripe/webhook"
        let ours = endpoints.filter { $0.url == url }
        guard let endpoint = ours.first else {
            return [.failed("webhook", "Stripe has no endpoint \(url)")]
        }
        var lines: [PreflightLine] = []
        if ours.count > 1 {
            lines.append(.warning("webhook", "Stripe has \(ours.count) endpoints \(url); one is enough"))
        }
        if endpoint.status != "enabled" {
            lines.append(.failed("webhook", "the endpoint \(endpoint.id) is \(endpoint.status.prefix(32))"))
        }
        if endpoint.livemode != isLive {
            lines.append(.failed("webhook", "the endpoint \(endpoint.id) is of the other mode"))
        }
        let missing =
            endpoint.enabledEvents.contains("*")
            ? [] : StripeEventKind.paymentTypes.filter { !endpoint.enabledEvents.contains($0) }
        if !missing.isEmpty {
            lines.append(
                .failed("webhook", "the endpoint \(endpoint.id) lacks \(missing.joined(separator: ", "))"))
        }
        if let version = endpoint.apiVersion, version != stripeVersion {
            lines.append(
                .warning(
                    "webhook", "its events come as \(version.prefix(32)); this release reads \(stripeVersion)"
                ))
        }
        return lines
    }

    static func account(_ account: Account) -> [PreflightLine] {
        account.chargesEnabled == false
            ? [.failed("stripe-account", "Stripe lets account \(account.id) take no payments yet")] : []
    }
}

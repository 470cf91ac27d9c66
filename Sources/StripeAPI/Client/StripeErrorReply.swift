import Foundation

/// Stripe's `{"error": {…}}`, as far as something is decided by it.
struct StripeErrorReply: Decodable {
    private struct Body: Decodable {
        struct Intent: Decodable { var id: String? }
        var type: String?
        var code: String?
        var declineCode: String?
        var param: String?
        var paymentIntent: Intent?

        enum CodingKeys: String, CodingKey {
            case type, code, param
            case declineCode = "decline_code"
            case paymentIntent = "payment_intent"
        }
    }

    private var error: Body

    /// What a reply that is not a success means. Read in this order: whether it is Stripe's, what the status says for
    /// sure, then the type.
    static func kind(status: Int, body: [UInt8]) -> StripeFailure.Kind {
        let error = (try? JSONDecoder().decode(Self.self, from: Data(body)))?.error
        // Stripe's errors have a type. A proxy's page instead of them is no refusal: behind it, Stripe may have done what
        // was asked. What says "later" or "broken" says no more than that from either.
        if error?.type == nil, 400..<500 ~= status, status != 409, status != 429 { return .unreadableReply }
        let code = error?.code.map(Self.word)
        let parameter = error?.param.map(Self.word)
        switch (status, error?.type) {
        case (401, _), (403, _): return .unauthorised(status: status)
        case (_, "card_error"):
            let declineCode = error?.declineCode.map(Self.word)
            let intent = error?.paymentIntent?.id.map(Self.word)
            guard code != "authentication_required", declineCode != "authentication_required" else {
                return .authenticationRequired(paymentIntent: intent)
            }
            return .cardDeclined(code: code ?? "card_error", declineCode: declineCode, paymentIntent: intent)
        case (429, _): return .rateLimited
        case (409, _): return .locked
        case (_, "idempotency_error"): return .idempotencyMismatch
        case (404, _): return .notFound(parameter: parameter)
        case (400..<500, _): return .invalidRequest(code: code, parameter: parameter)
        default: return .apiError(status: status)
        }
    }

    /// Of a word that Stripe sends, only what may stand in a log or a table.
    static func word(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || [0x5B, 0x5D, 0x5F, 0x2D, 0x2E].contains(byte)
        }
        return isPlain && (1...120).contains(text.utf8.count) ? text : "other"
    }
}

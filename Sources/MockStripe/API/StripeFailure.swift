/// An error as Stripe's API words it.
struct StripeFailure: Error, Equatable {
    enum Kind: String {
        case invalidRequest = "invalid_request_error"
        case card = "card_error"
        case idempotency = "idempotency_error"
        case api = "api_error"
    }

    var status: Int
    var kind: Kind = .invalidRequest
    var code: String?
    var declineCode: String?
    var message: String
    var parameter: String?
    /// The charge and the payment intent of a card error.
    var charge: String?
    var intent: JSON?
    /// Stripe keeps no result under an idempotency key for a request that it did not begin.
    var began = true

    static func missing(_ parameter: String) -> StripeFailure {
        StripeFailure(
            status: 400, code: "parameter_missing", message: "Missing required param: \(parameter).",
            parameter: parameter, began: false)
    }

    static func unknown(_ parameter: String) -> StripeFailure {
        StripeFailure(
            status: 400, code: "parameter_unknown", message: "Received unknown parameter: \(parameter)",
            parameter: parameter, began: false)
    }

    static func invalid(_ message: String, _ parameter: String?, code: String? = nil) -> StripeFailure {
        StripeFailure(status: 400, code: code, message: message, parameter: parameter, began: false)
    }

    static func noSuch(_ noun: String, _ id: String, _ parameter: String = "id") -> StripeFailure {
        StripeFailure(
            status: 404, code: "resource_missing", message: "No such \(noun): '\(id)'", parameter: parameter,
            began: false)
    }

    /// What the state of an object forbids.
    static func refused(_ message: String, code: String?, _ parameter: String? = nil) -> StripeFailure {
        StripeFailure(status: 400, code: code, message: message, parameter: parameter)
    }

    static func unrecognized(_ method: String, _ path: String) -> StripeFailure {
        StripeFailure(
            status: 404,
            message:
                "Unrecognized request URL (\(method): \(path)). Please see https://stripe.com/docs or we can "
                + "help at https://support.stripe.com/.", began: false)
    }

    static func keyInUse(_ key: String) -> StripeFailure {
        StripeFailure(
            status: 409, kind: .idempotency, code: "idempotency_key_in_use",
            message:
                "There is currently another in-progress request using this Idempotent Key (that probably "
                + "means you submitted twice, and the other request is still going through): \(key). Please "
                + "try again later.", began: false)
    }

    static func keyReused(_ key: String) -> StripeFailure {
        StripeFailure(
            status: 400, kind: .idempotency,
            message:
                "Keys for idempotent requests can only be used with the same parameters they were first used "
                + "with. Try using a key other than '\(key)' if you meant to execute a different request.",
            began: false)
    }

    var json: JSON {
        var error: JSON = [:]
        if let code {
            error["code"] = .text(code)
            let page = code.split(separator: "_").joined(separator: "-")
            error["doc_url"] = .text("https://stripe.com/docs/error-codes/\(page)")
        }
        if let charge { error["charge"] = .text(charge) }
        if let declineCode { error["decline_code"] = .text(declineCode) }
        error["message"] = .text(self.message)
        if let parameter { error["param"] = .text(parameter) }
        if let intent { error["payment_intent"] = intent }
        error["type"] = .text(self.kind.rawValue)
        return ["error": error]
    }
}

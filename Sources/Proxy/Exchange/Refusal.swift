import Metering
import NIOCore

/// A request that Tollgate answers itself: one value per reason of CONTRACT §4, mapped to bytes in one place.
struct Refusal: Error, Sendable, Equatable {
    enum Code: String, Sendable, CaseIterable {
        case invalidJSON = "invalid_json"
        case invalidRequest = "invalid_request"
        case invalidAPIKey = "invalid_api_key"
        case insufficientCredits = "insufficient_credits"
        case spendCapReached = "spend_cap_reached"
        case accountSuspended = "account_suspended"
        case modelNotAllowed = "model_not_allowed"
        case notYourAccount = "not_your_account"
        case endpointNotMetered = "endpoint_not_metered"
        case modelNotPriced = "model_not_priced"
        case responseNotFound = "response_not_found"
        case previousResponseNotFound = "previous_response_not_found"
        case methodNotAllowed = "method_not_allowed"
        case rateLimited = "rate_limited"
        case upstreamRateLimited = "upstream_rate_limited"
        case upstreamError = "upstream_error"
        case upstreamTimeout = "upstream_timeout"
        case bodyTooLarge = "body_too_large"
        case headTooLarge = "head_too_large"
        case requestTimeout = "request_timeout"
        case idempotencyConflict = "idempotency_conflict"
        case idempotencyInProgress = "idempotency_in_progress"
        case idempotentReplyNotKept = "idempotent_reply_not_kept"
        case expectationFailed = "expectation_failed"
        case unsupportedEncoding = "unsupported_encoding"
        case holdsUnavailable = "holds_unavailable"
        case draining = "draining"
        case overloaded = "overloaded"

        var status: Int {
            switch self {
            // OpenAI answers an unknown response with 404, and a turn that goes on from one with 400.
            case .invalidJSON, .invalidRequest, .previousResponseNotFound: 400
            case .invalidAPIKey: 401
            case .insufficientCredits, .spendCapReached: 402
            case .accountSuspended, .modelNotAllowed, .notYourAccount: 403
            case .endpointNotMetered, .modelNotPriced, .responseNotFound: 404
            case .methodNotAllowed: 405
            case .requestTimeout: 408
            case .idempotencyConflict, .idempotencyInProgress, .idempotentReplyNotKept: 409
            case .expectationFailed: 417
            case .headTooLarge: 431
            case .bodyTooLarge: 413
            case .unsupportedEncoding: 415
            case .rateLimited, .upstreamRateLimited: 429
            case .upstreamError: 502
            case .upstreamTimeout: 504
            case .holdsUnavailable, .draining, .overloaded: 503
            }
        }

        /// OpenAI's `error.type`, from which SDKs choose their exception's wording.
        var type: String {
            switch self {
            case .insufficientCredits: "insufficient_credits"
            case .spendCapReached: "spend_cap_reached"
            case .invalidAPIKey: "authentication_error"
            case .accountSuspended, .modelNotAllowed, .notYourAccount: "permission_error"
            case .rateLimited, .upstreamRateLimited: "rate_limit_error"
            case .upstreamError, .upstreamTimeout: "upstream_error"
            case .holdsUnavailable, .draining, .overloaded: "server_error"
            default: "invalid_request_error"
            }
        }
    }

    var code: Code
    var message: String
    var param: String?
    var retryAfterSeconds: Int?
    /// Further members at the top level of the body, in order; values are JSON text already.
    var facts: [Fact] = []
    /// Told in headers, of a 429.
    var limits: LimitReading = .none
    /// `x-should-retry: false`: the official SDKs then do not try again.
    var mustNotRetry = false

    struct Fact: Sendable, Equatable {
        var name: String
        var json: String
    }

    init(_ code: Code, _ message: String, param: String? = nil, retryAfterSeconds: Int? = nil) {
        self.code = code
        self.message = message
        self.param = param
        self.retryAfterSeconds = retryAfterSeconds
    }
}

extension Refusal {
    static let missingKey = Refusal(
        .invalidAPIKey,
        "Missing API key. Send 'Authorization: Bearer tg_...' with a Tollgate key.")
    static let unknownKey = Refusal(.invalidAPIKey, "Incorrect API key provided. It is unknown or revoked.")
    static let serviceKeyWithoutUser = Refusal(
        .invalidRequest, "A service key must name the payer in the header 'X-Tollgate-User'.",
        param: "X-Tollgate-User")
    static let badUser = Refusal(
        .invalidRequest, "'X-Tollgate-User' must be 1 to 256 bytes of UTF-8 without control characters.",
        param: "X-Tollgate-User")
    static let notYourAccount = Refusal(.notYourAccount, "This key may not bill the user it names.")
    static let suspended = Refusal(.accountSuspended, "This account is suspended. Contact support.")
    static let compressedBody = Refusal(
        .unsupportedEncoding, "Compressed request bodies cannot be metered; send the JSON as it is.",
        param: "content-encoding")
    static let draining = Refusal(
        .draining, "This instance is shutting down; try again.", retryAfterSeconds: 1)

    static let overloaded = Refusal(
        .overloaded, "This instance has as much to do as it can take; try again.", retryAfterSeconds: 1)

    static let untrustedClock = Refusal(
        .holdsUnavailable, "This instance's clock differs from the ledger's; try again.",
        retryAfterSeconds: 2)

    static func bodyTooLarge(limit: Int) -> Refusal {
        Refusal(.bodyTooLarge, "The request body is larger than \(limit) bytes.")
    }

    static func notMetered(_ what: String) -> Refusal {
        Refusal(.endpointNotMetered, "\(what) is not metered by this gateway, so it is not relayed.")
    }

    static func notPriced(_ model: String) -> Refusal {
        Refusal(
            .modelNotPriced, "The model '\(model)' has no price on the active rate card.", param: "model")
    }

    static func modelNotAllowed(_ model: String) -> Refusal {
        Refusal(.modelNotAllowed, "The model '\(model)' is not allowed here.", param: "model")
    }

    static func tierNotPriced(_ tier: ServiceTier, _ model: String) -> Refusal {
        Refusal(
            .invalidRequest, "The service tier '\(tier.rawValue)' has no price for the model '\(model)'.",
            param: "service_tier")
    }

    static func kindNotPriced(_ what: String, _ model: String, param: String) -> Refusal {
        Refusal(.invalidRequest, "\(what) has no price for the model '\(model)'.", param: param)
    }

    /// A reply from which its cost could not be told.
    static func silent(_ model: String, param: String, _ wanted: String) -> Refusal {
        Refusal(
            .invalidRequest,
            "The model '\(model)' is charged by its usage, which is reported only with '\(param)' \(wanted).",
            param: param)
    }

    /// Stored objects belong to the operator's account at OpenAI; nothing here knows yet whose they are.
    static func notYourObject(_ reference: StoredReference) -> Refusal {
        let param =
            switch reference.kind {
            case .response: "prompt_cache_options.comparison_response_id"
            case .item: "input"
            case .file: "file_id"
            case .vectorStore: "vector_store_ids"
            case .prompt: "prompt"
            case .audio: "messages.audio"
            case .voice: "voice"
            }
        return Refusal(
            .invalidRequest, "Objects stored by earlier requests cannot be used through this gateway yet.",
            param: param)
    }

    static func unavailable(_ why: HoldsUnavailable) -> Refusal {
        Refusal(
            .holdsUnavailable, "Credits cannot be checked right now (\(why.rawValue)); try again.",
            retryAfterSeconds: 1)
    }

    init(_ rejection: RequestRejection) {
        self.init(
            rejection.code == .invalidJSON ? .invalidJSON : .invalidRequest, rejection.message,
            param: rejection.param)
    }

    /// CONTRACT §4: the least that would admit the request, and what is there.
    static func insufficientCredits(
        required: Millicredits, available: Millicredits, affordableOutputTokens: Int64, redirectTo: String
    ) -> Refusal {
        var refusal = Refusal(
            .insufficientCredits,
            "Insufficient credits: this request needs \(required.creditsText) credits and "
                + "\(available.creditsText) are available.")
        refusal.facts = [
            Fact(name: "requiredCredits", json: required.creditsText),
            Fact(name: "currentCredits", json: available.creditsText),
            Fact(name: "affordableOutputTokens", json: String(affordableOutputTokens)),
            Fact(name: "redirectTo", json: JSONLiteral.string(redirectTo)),
        ]
        refusal.mustNotRetry = true
        return refusal
    }

    /// The last frame of a stream whose hold could not be raised.
    static func creditsEnded(available: Millicredits, redirectTo: String) -> Refusal {
        var refusal = Refusal(
            .insufficientCredits, "Insufficient credits: they ended while this reply was being written.")
        refusal.facts = [
            Fact(name: "currentCredits", json: available.creditsText),
            Fact(name: "redirectTo", json: JSONLiteral.string(redirectTo)),
        ]
        return refusal
    }

    static func capReached(_ cap: SpendCap, limit: Millicredits, resetsAtMilliseconds: Int64) -> Refusal {
        var refusal = Refusal(.spendCapReached, "The \(cap.rawValue) spend cap of this account is reached.")
        refusal.facts = [
            Fact(name: "cap", json: JSONLiteral.string(cap.rawValue)),
            Fact(name: "limitMillicredits", json: JSONLiteral.string(String(limit.value))),
            Fact(
                name: "resetsAt",
                json: resetsAtMilliseconds == 0
                    ? "null" : JSONLiteral.string(ISO8601.text(millisecondsSinceEpoch: resetsAtMilliseconds))),
        ]
        refusal.mustNotRetry = true
        return refusal
    }
}

extension Refusal {
    /// Which of the two error shapes of CONTRACT §4 the client expects.
    enum Shape: Sendable { case openAI, api }

    /// The JSON body.
    func body(_ shape: Shape) -> String {
        var text: String
        switch shape {
        case .openAI:
            text =
                "{\"error\":{\"message\":\(JSONLiteral.string(self.message)),\"type\":\(JSONLiteral.string(self.code.type)),"
            text +=
                "\"param\":\(self.param.map(JSONLiteral.string) ?? "null"),\"code\":\(JSONLiteral.string(self.code.rawValue))}"
        case .api:
            let summary = self.code == .insufficientCredits ? "Insufficient credits" : self.message
            text = "{\"error\":\(JSONLiteral.string(summary))"
            if self.code != .insufficientCredits {
                text += ",\"code\":\(JSONLiteral.string(self.code.rawValue))"
                if let param = self.param { text += ",\"param\":\(JSONLiteral.string(param))" }
            }
        }
        for fact in self.facts where shape == .openAI || fact.name != "affordableOutputTokens" {
            text += ",\(JSONLiteral.string(fact.name)):\(fact.json)"
        }
        return text + "}"
    }
}

extension Refusal {
    /// The last frame of a stream that fails, as SDKs raise it: an object with `error` in a chat, an event of that name in
    /// a response.
    ///
    /// - Parameter sequenceNumber: of the event, which only a response has: behind that of the last one.
    func frame(_ shape: ReplyShape?, sequenceNumber: Int64) -> String {
        guard shape == .responses else { return "data: " + self.body(.openAI) + "\n\n" }
        return "event: error\ndata: {\"type\":\"error\",\"code\":\(JSONLiteral.string(self.code.rawValue)),"
            + "\"message\":\(JSONLiteral.string(self.message)),"
            + "\"param\":\(self.param.map(JSONLiteral.string) ?? "null"),"
            + "\"sequence_number\":\(sequenceNumber)}\n\n"
    }
}

/// `2026-11-23T15:04:05Z` without Foundation, proleptic Gregorian, UTC.
enum ISO8601 {
    static func text(millisecondsSinceEpoch: Int64, withMilliseconds: Bool = false) -> String {
        let seconds = millisecondsSinceEpoch / 1000
        let (year, month, day) = self.civilDate(daysSinceEpoch: seconds / 86400)
        let second = seconds % 86400
        func padded(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(year)-\(padded(month))-\(padded(day))T"
            + "\(padded(second / 3600)):\(padded(second / 60 % 60)):\(padded(second % 60))"
            + (withMilliseconds ? ".\(String(1000 + millisecondsSinceEpoch % 1000).dropFirst())Z" : "Z")
    }

    /// Howard Hinnant's `civil_from_days`, for days ≥ 0.
    private static func civilDate(daysSinceEpoch: Int64) -> (Int64, Int64, Int64) {
        let shifted = daysSinceEpoch + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthIndex + 2) / 5 + 1
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

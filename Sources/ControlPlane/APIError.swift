import Billing
import HTTPTypes
import Hummingbird

/// An error of `/api/*` in the runbook's shape: `{"error":"…", …}` (CONTRACT §4).
struct APIError: Error {
    var status: HTTPResponse.Status
    /// Shown to the client: never a secret, a body, or anything of a dependency's own error.
    var message: String
    var code: String
    /// The field at fault, as the client named it.
    var param: String?
    var headers: HTTPFields = [:]
    /// Whether an operator's switch is why: nothing is broken, and no availability is lost.
    var isSwitchedOff = false

    static func badRequest(_ param: String, _ message: String) -> APIError {
        APIError(status: .badRequest, message: message, code: "invalid_request", param: param)
    }

    static func methodNotAllowed(_ allowed: String) -> APIError {
        APIError(
            status: .methodNotAllowed, message: "Use \(allowed).", code: "method_not_allowed",
            headers: [.allow: allowed])
    }

    static let unauthorized = APIError(
        status: .unauthorized, message: "Missing or unknown credentials.", code: "invalid_api_key",
        headers: [.wwwAuthenticate: "Bearer"])
    static let notYourAccount = APIError(
        status: .forbidden, message: "This key may not see the user it names.", code: "not_your_account")
    static let notAdmin = APIError(
        status: .forbidden, message: "This needs the admin token.", code: "not_admin")
    static func roleTooLow(_ least: StaffRole) -> APIError {
        APIError(
            status: .forbidden, message: "This needs the role '\(least.rawValue)' or more.",
            code: "role_too_low")
    }
    static let foreignOrigin = APIError(
        status: .forbidden,
        message: "This page of another site may not sign you in here. Open your credits page from the app.",
        code: "origin_not_allowed", param: "origin")
    static let notServiceKey = APIError(
        status: .forbidden, message: "This needs a service key.", code: "not_service_key")
    static let keysUnavailable = APIError(
        status: .serviceUnavailable, message: "The app's keys cannot be fetched right now; try again.",
        code: "jwt_keys_unavailable", headers: [.retryAfter: "60"])
    static func tokenRefused(_ refusal: AppTokenClaims.Refusal) -> APIError {
        APIError(
            status: .unauthorized, message: "The sign-in token is not accepted: \(refusal.rawValue).",
            code: "invalid_jwt", param: "token", headers: [.wwwAuthenticate: "Bearer"])
    }
    static let notSignedIn = APIError(
        status: .unauthorized, message: "Email, password, code or invitation are not right.",
        code: "not_signed_in")
    static let sessionOver = APIError(
        status: .unauthorized, message: "The session has ended; sign in again.", code: "session_over")
    static let csrfMissing = APIError(
        status: .forbidden, message: "A change by a session needs its 'x-csrf-token'.", code: "csrf_missing")
    static let accountSuspended = APIError(
        status: .forbidden, message: "This account is suspended.", code: "account_suspended")
    static let notFound = APIError(
        status: .notFound, message: "There is nothing here.", code: "not_found")
    static let noSuchAccount = APIError(
        status: .notFound, message: "There is no such account.", code: "account_not_found")
    static let noSuchKey = APIError(
        status: .notFound, message: "There is no such key.", code: "key_not_found")
    static let noSuchCard = APIError(
        status: .notFound, message: "There is no such rate card.", code: "rate_card_not_found")
    static let noSuchRun = APIError(
        status: .notFound, message: "There is no such run.", code: "run_not_found")
    static func tooSlow(_ slow: DashboardTooSlow) -> APIError {
        APIError(
            status: .gatewayTimeout,
            message: "This was given up after \(slow.seconds) seconds: the ledger is too large for it, or "
                + "busy. Nothing is wrong with the figures themselves; try again when it is quieter.",
            code: "too_slow")
    }
    static let holdsUnavailable = APIError(
        status: .serviceUnavailable, message: "The hold store cannot be read right now; try again.",
        code: "holds_unavailable", headers: [.retryAfter: "1"])
    static let bodyTooLarge = APIError(
        status: .contentTooLarge, message: "The body is too large.", code: "body_too_large")
    static func bodyTooLarge(limit: Int) -> APIError {
        APIError(
            status: .contentTooLarge, message: "The body has more than \(limit) bytes.",
            code: "body_too_large")
    }
    static let unavailable = APIError(
        status: .serviceUnavailable, message: "The ledger cannot be read right now; try again.",
        code: "ledger_unavailable", headers: [.retryAfter: "1"])
    static let internalError = APIError(
        status: .internalServerError, message: "Something went wrong here; the request id names it.",
        code: "internal_error")

    var response: Response {
        var fields: [(String, JSONValue)] = [("error", .string(self.message)), ("code", .string(self.code))]
        if let param = self.param { fields.append(("param", .string(param))) }
        var response = JSONValue.object(fields).response(self.status)
        response.headers.append(contentsOf: self.headers)
        return response
    }
}

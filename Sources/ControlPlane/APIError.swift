import HTTPTypes
import Hummingbird
import Logging

/// An error of `/api/*` in the runbook's shape: `{"error":"…", …}` (CONTRACT §4).
struct APIError: Error {
    var status: HTTPResponse.Status
    var message: String
    var code: String
    var param: String?

    static func badRequest(_ param: String, _ message: String) -> APIError {
        APIError(status: .badRequest, message: message, code: "invalid_request", param: param)
    }

    static let unauthorized = APIError(
        status: .unauthorized, message: "Missing or unknown credentials.", code: "invalid_api_key")
    static let unavailable = APIError(
        status: .serviceUnavailable, message: "The ledger cannot be read right now; try again.",
        code: "ledger_unavailable")

    var response: Response {
        var fields: [(String, JSONValue)] = [("error", .string(self.message)), ("code", .string(self.code))]
        if let param = self.param { fields.append(("param", .string(param))) }
        return JSONValue.object(fields).response(self.status)
    }
}

/// Every reply of the control plane is JSON, the errors of the router included; nothing internal leaks.
struct ErrorReplies: RouterMiddleware {
    typealias Context = ControlContext

    func handle(
        _ request: Request, context: ControlContext, next: (Request, ControlContext) async throws -> Response
    ) async throws -> Response {
        var response: Response
        do {
            response = try await next(request, context)
        } catch let error as APIError {
            response = error.response
        } catch let error as HTTPError {
            response = Self.mapped(error).response
        } catch {
            context.logger.error("control-plane request failed", metadata: ["error": "\(type(of: error))"])
            response = APIError.unavailable.response
        }
        response.headers[.contentTypeOptions] = "nosniff"
        if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
        return response
    }

    private static func mapped(_ error: HTTPError) -> APIError {
        switch error.status {
        case .notFound: APIError(status: .notFound, message: "There is nothing here.", code: "not_found")
        case .contentTooLarge:
            APIError(status: .contentTooLarge, message: "The body is too large.", code: "body_too_large")
        default: APIError(status: error.status, message: error.status.reasonPhrase, code: "invalid_request")
        }
    }
}

extension HTTPField.Name {
    static var contentTypeOptions: HTTPField.Name { Self.make("x-content-type-options") }
    static var tollgateUser: HTTPField.Name { Self.make("x-tollgate-user") }

    private static func make(_ name: String) -> HTTPField.Name {
        guard let made = HTTPField.Name(name) else {
            preconditionFailure("field names of this file are tokens")
        }
        return made
    }
}

/// CORS for exact origins; never a wildcard.
struct CrossOrigin: RouterMiddleware {
    typealias Context = ControlContext
    let origins: [String]

    func handle(
        _ request: Request, context: ControlContext, next: (Request, ControlContext) async throws -> Response
    ) async throws -> Response {
        guard let origin = request.headers[.origin], self.origins.contains(origin) else {
            return try await next(request, context)
        }
        var response: Response
        if request.method == .options {
            response = Response(status: .noContent)
            response.headers[.accessControlAllowMethods] = "GET, POST"
            response.headers[.accessControlAllowHeaders] = "authorization, content-type, x-tollgate-user"
            response.headers[.accessControlMaxAge] = "600"
        } else {
            response = try await next(request, context)
        }
        response.headers[.accessControlAllowOrigin] = origin
        response.headers[.vary] = "origin"
        return response
    }
}

import HTTPTypes
import Hummingbird
import Logging

/// What every reply carries, whichever route made it. Outermost of the middleware.
struct ReplyFields: RouterMiddleware {
    typealias Context = ControlContext

    /// The site is reached by https.
    let isSecure: Bool

    private static let loggerKey = "hb.request.id"

    func handle(
        _ request: Request, context: ControlContext, next: (Request, ControlContext) async throws -> Response
    ) async throws -> Response {
        // A listener that speaks HTTP itself may have named the request already; the names must agree.
        var context = context
        let id = Self.requestID(context) ?? RequestID().description
        context.logger[metadataKey: Self.loggerKey] = .string(id)
        var response = try await RequestScope.$id.withValue(id) { [context] in
            try await next(request, context)
        }
        // An error of a HEAD request has a body too, and sending it would break the framing.
        if request.method == .head { response = response.createHeadResponse() }
        response.headers[.tollgateRequestID] = id
        response.headers[.contentTypeOptions] = "nosniff"
        if self.isSecure { response.headers[.strictTransportSecurity] = "max-age=31536000" }
        Self.fill(&response, .cacheControl, "no-store")
        Self.fill(&response, .contentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
        Self.fill(&response, .referrerPolicy, "no-referrer")
        return response
    }

    /// The name of the request that `context` belongs to.
    static func requestID(_ context: ControlContext) -> String? {
        context.logger[metadataKey: self.loggerKey]?.description
    }

    /// A route may know better, so its own value stays.
    private static func fill(_ response: inout Response, _ name: HTTPField.Name, _ value: String) {
        if response.headers[name] == nil { response.headers[name] = value }
    }
}

extension HTTPField.Name {
    static var contentTypeOptions: HTTPField.Name { Self.make("x-content-type-options") }
    static var frameOptions: HTTPField.Name { Self.make("x-frame-options") }
    static var referrerPolicy: HTTPField.Name { Self.make("referrer-policy") }
    static var tollgateRequestID: HTTPField.Name { Self.make("x-tollgate-request-id") }
    static var csrfToken: HTTPField.Name { Self.make("x-csrf-token") }
    static var tollgateUser: HTTPField.Name { Self.make("x-tollgate-user") }
    static var stripeSignature: HTTPField.Name { Self.make("stripe-signature") }

    private static func make(_ name: String) -> HTTPField.Name {
        guard let made = HTTPField.Name(name) else {
            preconditionFailure("field names of this file are tokens")
        }
        return made
    }
}

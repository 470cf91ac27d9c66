import HTTPTypes
import Hummingbird

/// CORS of `/api/*` for exact origins; never a wildcard, never a pattern.
struct CrossOrigin: RouterMiddleware {
    typealias Context = ControlContext
    let origins: Set<String>

    func handle(
        _ request: Request, context: ControlContext, next: (Request, ControlContext) async throws -> Response
    ) async throws -> Response {
        guard !self.origins.isEmpty, request.uri.path.hasPrefix("/api/") else {
            return try await next(request, context)
        }
        guard let origin = request.headers[.origin], self.origins.contains(origin) else {
            return Self.varying(try await next(request, context))
        }
        var response: Response
        if request.method == .options, request.headers[.accessControlRequestMethod] != nil {
            response = Response(status: .noContent)
            response.headers[.accessControlAllowMethods] = "GET, POST, PUT, DELETE"
            response.headers[.accessControlAllowHeaders] = "authorization, content-type, x-tollgate-user"
            response.headers[.accessControlMaxAge] = "600"
        } else {
            response = try await next(request, context)
            response.headers[.accessControlExposeHeaders] = "x-tollgate-request-id, retry-after"
        }
        response.headers[.accessControlAllowOrigin] = origin
        return Self.varying(response)
    }

    /// A cache must not give one origin's reply to another, nor the reply to no origin at all.
    private static func varying(_ response: Response) -> Response {
        var response = response
        response.headers.append(HTTPField(name: .vary, value: "origin"))
        return response
    }
}

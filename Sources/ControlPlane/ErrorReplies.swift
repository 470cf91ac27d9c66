import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// Every error becomes JSON, those of the router included; nothing internal leaks. Innermost of the
/// middleware, so that the others see a reply and can add their fields to it.
struct ErrorReplies: RouterMiddleware {
    typealias Context = ControlContext

    func handle(
        _ request: Request, context: ControlContext, next: (Request, ControlContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as APIError {
            context.cause.note(error)
            return error.response
        } catch is NIOTooManyBytesError {
            return APIError.bodyTooLarge.response
        } catch let error as HTTPError {
            return Self.mapped(error).response
        } catch {
            // The type only: a description may carry what the request or a dependency said.
            context.logger.error("control-plane request failed", metadata: ["error": "\(type(of: error))"])
            return APIError.internalError.response
        }
    }

    private static func mapped(_ error: HTTPError) -> APIError {
        switch error.status {
        case .notFound: .notFound
        case .contentTooLarge: .bodyTooLarge
        default: APIError(status: error.status, message: error.status.reasonPhrase, code: "invalid_request")
        }
    }
}

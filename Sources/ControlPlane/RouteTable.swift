import HTTPTypes
import Hummingbird

/// The routes of one router. A path that is known by other methods only answers 405 with `Allow`, where a
/// bare router would answer 404.
struct RouteTable {
    typealias Handler = @Sendable (Request, ControlContext) async throws -> Response

    private static let methods: [HTTPRequest.Method] = [
        .get, .head, .post, .put, .patch, .delete, .options, .trace,
    ]

    private var routes: [String: [HTTPRequest.Method: Handler]] = [:]

    /// HEAD comes with it: the router makes it of GET.
    mutating func get(_ path: String, _ handler: @escaping Handler) { self.add(.get, path, handler) }
    mutating func post(_ path: String, _ handler: @escaping Handler) { self.add(.post, path, handler) }

    mutating func put(_ path: String, _ handler: @escaping Handler) { self.add(.put, path, handler) }
    mutating func delete(_ path: String, _ handler: @escaping Handler) { self.add(.delete, path, handler) }

    private mutating func add(_ method: HTTPRequest.Method, _ path: String, _ handler: @escaping Handler) {
        let replaced = self.routes[path, default: [:]].updateValue(handler, forKey: method)
        precondition(replaced == nil, "each route is declared once, in the file of its routes")
    }

    /// A router with these routes behind `middleware`, outermost first.
    func router(_ middleware: [any MiddlewareProtocol<Request, Response, ControlContext>])
        -> Router<ControlContext>
    {
        let router = Router(context: ControlContext.self, options: .autoGenerateHeadEndpoints)
        for layer in middleware { router.add(middleware: layer) }
        for (path, handlers) in self.routes {
            for (method, handler) in handlers { router.on(RouterPath(path), method: method, use: handler) }
            var known = Set(handlers.keys)
            if known.contains(.get) { known.insert(.head) }
            let allowed = Self.methods.filter(known.contains).map(\.rawValue).joined(separator: ", ")
            for method in Self.methods where !known.contains(method) {
                router.on(RouterPath(path), method: method) { _, _ -> Response in
                    throw APIError.methodNotAllowed(allowed)
                }
            }
        }
        return router
    }
}

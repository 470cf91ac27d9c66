import Billing
import HTTPTypes
import Hummingbird

/// The routes of one router, each with who may call it and what it does; the OpenAPI document is made of them. A path
/// that is known by other methods only answers 405 with `Allow`, where a bare router would answer 404.
struct RouteTable {
    typealias Handler = @Sendable (Request, ControlContext) async throws -> Response
    typealias StaffHandler = @Sendable (Request, ControlContext, Staff) async throws -> Response

    private static let methods: [HTTPRequest.Method] = [
        .get, .head, .post, .put, .patch, .delete, .options, .trace,
    ]

    /// A route of the document, in the order of declaration.
    struct Documented: Sendable {
        var method: HTTPRequest.Method
        var path: String
        var access: Access
        var operation: Operation
    }

    private(set) var documented: [Documented] = []
    private var routes: [String: [HTTPRequest.Method: Handler]] = [:]
    private let gate: StaffGate?

    /// - Parameter gate: nil: a table without staff routes.
    init(gate: StaffGate? = nil) { self.gate = gate }

    // MARK: Programs' routes

    /// HEAD comes with it: the router makes it of GET.
    mutating func get(
        _ path: String, access: PublicAccess, _ operation: Operation, _ handler: @escaping Handler
    ) {
        self.add(.get, path, .public(access), operation, handler)
    }

    mutating func post(
        _ path: String, access: PublicAccess, _ operation: Operation, _ handler: @escaping Handler
    ) {
        self.add(.post, path, .public(access), operation, handler)
    }

    mutating func put(
        _ path: String, access: PublicAccess, _ operation: Operation, _ handler: @escaping Handler
    ) {
        self.add(.put, path, .public(access), operation, handler)
    }

    mutating func delete(
        _ path: String, access: PublicAccess, _ operation: Operation, _ handler: @escaping Handler
    ) {
        self.add(.delete, path, .public(access), operation, handler)
    }

    // MARK: Staff routes

    mutating func get(
        _ path: String, staff role: StaffRole, _ operation: Operation, _ handler: @escaping StaffHandler
    ) {
        self.add(.get, path, role, operation, handler)
    }

    mutating func post(
        _ path: String, staff role: StaffRole, _ operation: Operation, _ handler: @escaping StaffHandler
    ) {
        self.add(.post, path, role, operation, handler)
    }

    mutating func put(
        _ path: String, staff role: StaffRole, _ operation: Operation, _ handler: @escaping StaffHandler
    ) {
        self.add(.put, path, role, operation, handler)
    }

    mutating func delete(
        _ path: String, staff role: StaffRole, _ operation: Operation, _ handler: @escaping StaffHandler
    ) {
        self.add(.delete, path, role, operation, handler)
    }

    // MARK: Routes outside of the document

    mutating func get(_ path: String, access: UndocumentedAccess, _ handler: @escaping Handler) {
        self.add(.get, path, handler)
    }

    mutating func post(_ path: String, access: UndocumentedAccess, _ handler: @escaping Handler) {
        self.add(.post, path, handler)
    }

    // MARK: All of them

    private mutating func add(
        _ method: HTTPRequest.Method, _ path: String, _ role: StaffRole, _ operation: Operation,
        _ handler: @escaping StaffHandler
    ) {
        guard let gate = self.gate else { preconditionFailure("a table with staff routes has a gate") }
        self.add(method, path, .staff(role), operation) { request, context in
            try await handler(request, context, try await gate.admit(request, role))
        }
    }

    private mutating func add(
        _ method: HTTPRequest.Method, _ path: String, _ access: Access, _ operation: Operation,
        _ handler: @escaping Handler
    ) {
        self.add(method, path, handler)
        self.documented.append(
            Documented(method: method, path: path, access: access, operation: operation))
    }

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

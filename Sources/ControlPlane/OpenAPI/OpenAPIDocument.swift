import Billing
import HTTPTypes
import Hummingbird

extension RouteTable {
    /// Adds `GET /api/openapi.json`, of the routes so far and itself; to be called after every other.
    mutating func addDocument(version: String) {
        let path = "/api/openapi.json"
        let operation = Operation(
            .service, "openapi", "This document.",
            reply: .object([.init("openapi", .string), .init("paths", .map(.object([])))]))
        let own = Documented(method: .get, path: path, access: .public(.open), operation: operation)
        let text = ByteBuffer(string: OpenAPIDocument(self.documented + [own], version: version).text)
        self.get(path, access: .open, operation) { _, _ in
            Response(
                status: .ok, headers: [.contentType: "application/json"], body: ResponseBody(byteBuffer: text)
            )
        }
    }
}

/// The OpenAPI 3.1 document of the routes of a table, and of nothing else.
struct OpenAPIDocument: Sendable {
    /// JSON.
    let text: String

    init(_ routes: [RouteTable.Documented], version: String) {
        var paths: [(String, [(String, JSONValue)])] = []
        for route in routes {
            let path = Self.path(route.path)
            let operation = (route.method.rawValue.lowercased(), Self.operation(route))
            if let index = paths.firstIndex(where: { $0.0 == path }) {
                paths[index].1.append(operation)
            } else {
                paths.append((path, [operation]))
            }
        }
        self.text =
            JSONValue.object([
                ("openapi", .string("3.1.0")),
                (
                    "info",
                    .object([
                        ("title", .string("Tollgate")), ("version", .string(version)),
                        ("description", .string("Credits, usage, purchases, and the operator's own routes.")),
                    ])
                ),
                ("servers", .array([.object([("url", .string("/"))])])),
                ("tags", .array(Operation.Tag.allCases.map { .object([("name", .string($0.rawValue))]) })),
                ("paths", .object(paths.map { ($0.0, .object($0.1)) })),
                (
                    "components",
                    .object([
                        ("schemas", .object(Component.allCases.map { ($0.rawValue, $0.schema.json) })),
                        ("securitySchemes", SecurityScheme.all),
                    ])
                ),
            ]).text
    }

    /// `/statements/:file` is `/statements/{file}` there.
    static func path(_ path: String) -> String {
        path.split(separator: "/").map { part in
            part.hasPrefix(":") ? "/{\(part.dropFirst())}" : "/\(part)"
        }.joined()
    }

    // MARK: One operation

    private static func operation(_ route: RouteTable.Documented) -> JSONValue {
        let operation = route.operation
        var members: [(String, JSONValue)] = [
            ("operationId", .string(operation.id)), ("summary", .string(operation.summary)),
            ("tags", .array([.string(operation.tag.rawValue)])),
            ("security", SecurityScheme.required(route.access)),
        ]
        if case .staff(let role) = route.access { members.append(("x-least-role", .string(role.rawValue))) }
        if operation.audits { members.append(("x-audited", .bool(true))) }
        let parameters = operation.parameters + Self.impliedParameters(route)
        if !parameters.isEmpty { members.append(("parameters", .array(parameters.map(Self.json)))) }
        if let body = operation.body {
            members.append(
                (
                    "requestBody",
                    .object([
                        ("required", .bool(true)),
                        ("content", .object([(body.contentType, .object([("schema", body.schema.json)]))])),
                    ])
                ))
        }
        members.append(("responses", Self.replies(route)))
        return .object(members)
    }

    private static func impliedParameters(_ route: RouteTable.Documented) -> [Operation.Parameter] {
        guard route.access == .public(.account) else { return [] }
        return [
            .header("X-Tollgate-User", .string, "The user that a service key acts for; or the admin token."),
            .query("userId", .string, "The user that the admin token asks about."),
        ]
    }

    private static func json(_ parameter: Operation.Parameter) -> JSONValue {
        .object([
            ("name", .string(parameter.name)), ("in", .string(parameter.place.rawValue)),
            ("required", .bool(parameter.isRequired)), ("description", .string(parameter.text)),
            ("schema", parameter.schema.json),
        ])
    }

    private static func replies(_ route: RouteTable.Documented) -> JSONValue {
        let operation = route.operation
        var replies = operation.replies.map { reply -> (Int, JSONValue) in
            var members: [(String, JSONValue)] = [("description", .string(reply.text))]
            if !reply.contents.isEmpty {
                let contents = reply.contents.map {
                    ($0.type, JSONValue.object([("schema", $0.schema.json)]))
                }
                members.append(("content", .object(contents)))
            }
            return (reply.status.code, .object(members))
        }
        for status in Self.errors(route) where !replies.contains(where: { $0.0 == status.code }) {
            let schema =
                status == .badRequest ? Schema.anyOf(.named(.error), .named(.malformed)) : .named(.error)
            let content = JSONValue.object([("application/json", .object([("schema", schema.json)]))])
            replies.append(
                (
                    status.code,
                    .object([("description", .string(status.reasonPhrase)), ("content", content)])
                ))
        }
        replies.sort { $0.0 < $1.0 }
        return .object(replies.map { (String($0.0), $0.1) })
    }

    /// What follows from how a route is called, and what it says itself.
    private static func errors(_ route: RouteTable.Documented) -> [HTTPResponse.Status] {
        var errors = route.operation.errors
        switch route.access {
        case .public(.open): break
        case .public(.account), .public(.service):
            errors += [.badRequest, .unauthorized, .forbidden, .notFound, .serviceUnavailable]
        case .public(.signature): errors += [.badRequest, .serviceUnavailable]
        case .staff: errors += [.unauthorized, .forbidden, .serviceUnavailable]
        }
        if !route.operation.parameters.isEmpty { errors.append(.badRequest) }
        if route.operation.body != nil { errors += [.badRequest, .contentTooLarge] }
        return errors
    }
}

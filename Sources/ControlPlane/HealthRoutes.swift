import Hummingbird
import Metering

/// Liveness and readiness.
struct HealthRoutes: Sendable {
    let version: String
    let readiness: @Sendable () async -> [Readiness]

    func add(to table: inout RouteTable, under prefix: String) {
        // Asks nothing of a dependency: a process that waits for its database must not be killed for it.
        table.get("\(prefix)/health", access: .open, Self.health) { _, _ in
            JSONValue.object([("status", .string("ok")), ("version", .string(self.version))]).response()
        }
        table.get("\(prefix)/ready", access: .open, Self.ready) { _, _ in await self.ready() }
    }

    private static let health = Operation(
        .service, "health", "The process lives.",
        reply: .object([.init("status", .string), .init("version", .string)]))

    private static let readiness = Schema.object([
        .init("status", .words("ready", "not_ready")), .init("checks", .map(.words("ok", "unavailable"))),
    ])

    private static let ready = Operation(
        .service, "ready", "Requests can be served.",
        replies: [
            .json(Self.readiness),
            .json(Self.readiness, .serviceUnavailable, "A dependency is not available."),
        ])

    private func ready() async -> Response {
        let parts = await self.readiness()
        let isReady = parts.allSatisfy(\.isReady)
        let checks = parts.map { ($0.name, JSONValue.string($0.isReady ? "ok" : "unavailable")) }
        return JSONValue.object([
            ("status", .string(isReady ? "ready" : "not_ready")), ("checks", .object(checks)),
        ]).response(isReady ? .ok : .serviceUnavailable)
    }
}

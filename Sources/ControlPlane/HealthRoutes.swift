import Hummingbird
import Metering

/// Liveness and readiness.
struct HealthRoutes: Sendable {
    let version: String
    let readiness: @Sendable () async -> [Readiness]

    func add(to table: inout RouteTable, under prefix: String) {
        // Asks nothing of a dependency: a process that waits for its database must not be killed for it.
        table.get("\(prefix)/health") { _, _ in
            JSONValue.object([("status", .string("ok")), ("version", .string(self.version))]).response()
        }
        table.get("\(prefix)/ready") { _, _ in await self.ready() }
    }

    private func ready() async -> Response {
        let parts = await self.readiness()
        let isReady = parts.allSatisfy(\.isReady)
        let checks = parts.map { ($0.name, JSONValue.string($0.isReady ? "ok" : "unavailable")) }
        return JSONValue.object([
            ("status", .string(isReady ? "ready" : "not_ready")), ("checks", .object(checks)),
        ]).response(isReady ? .ok : .serviceUnavailable)
    }
}

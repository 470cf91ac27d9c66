import Hummingbird
import Metering

/// Liveness and readiness.
struct HealthRoutes: Sendable {
    let version: String
    let readiness: @Sendable () async -> [Readiness]

    func add(to router: some RouterMethods<ControlContext>, under prefix: RouterPath) {
        router.get("\(prefix)/health") { _, _ in
            JSONValue.object([("status", .string("ok")), ("version", .string(self.version))]).response()
        }
        router.get("\(prefix)/ready") { _, _ in await self.ready() }
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

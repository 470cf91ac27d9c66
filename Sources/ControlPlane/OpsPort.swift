import Hummingbird
import Logging
import Metering
import ServiceLifecycle

/// The operator's port: metrics and health, never reachable by clients.
public enum OpsPort {
    /// A service for `OPS_LISTEN`.
    public static func application(
        host: String, port: Int, version: String, sources: [any MetricSource],
        readiness: @escaping @Sendable () async -> [Readiness], logger: Logger,
        onListening: @escaping @Sendable () -> Void = {}
    ) -> some Service {
        Application(
            router: self.router(version: version, sources: sources, readiness: readiness),
            configuration: .init(address: .hostname(host, port: port), serverName: "tollgate"),
            onServerRunning: { _ in onListening() }, logger: logger)
    }

    static func router(
        version: String, sources: [any MetricSource], readiness: @escaping @Sendable () async -> [Readiness]
    ) -> Router<ControlContext> {
        var table = RouteTable()
        HealthRoutes(version: version, readiness: readiness).add(to: &table, under: "")
        table.get("/metrics", access: .ops) { _, _ in
            let ready = await readiness().map { part in
                MetricSample(
                    "tollgate_ready", help: "Whether a part can do its work: 1 or 0.", kind: .gauge,
                    labels: [.init("check", part.name)], count: part.isReady ? 1 : 0)
            }
            let text = MetricExposition.text(sources.flatMap { $0.samples() } + ready)
            return Response(
                status: .ok, headers: [.contentType: MetricExposition.contentType],
                body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
        }
        return table.router([ReplyFields(isSecure: false), ErrorReplies()])
    }
}

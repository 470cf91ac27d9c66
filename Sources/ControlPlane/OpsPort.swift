import Hummingbird
import Logging
import Metering
import ServiceLifecycle

/// The operator's port: metrics and health, never reachable by clients.
public enum OpsPort {
    /// A service for `OPS_LISTEN`.
    public static func application(
        host: String, port: Int, version: String, sources: [any MetricSource],
        readiness: @escaping @Sendable () async -> [Readiness], logger: Logger
    ) -> some Service {
        Application(
            router: self.router(version: version, sources: sources, readiness: readiness),
            configuration: .init(address: .hostname(host, port: port), serverName: "tollgate"), logger: logger
        )
    }

    static func router(
        version: String, sources: [any MetricSource], readiness: @escaping @Sendable () async -> [Readiness]
    ) -> Router<ControlContext> {
        let router = Router(context: ControlContext.self)
        router.add(middleware: ErrorReplies())
        HealthRoutes(version: version, readiness: readiness).add(to: router, under: "")
        router.get("/metrics") { _, _ in
            let text = MetricExposition.text(sources.flatMap { $0.samples() })
            return Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
        }
        return router
    }
}

/// Prometheus' text format 0.0.4.
enum MetricExposition {
    static func text(_ samples: [MetricSample]) -> String {
        var text = ""
        let byName = Dictionary(grouping: samples, by: \.name)
        for (name, series) in byName.sorted(by: { $0.key < $1.key }) {
            guard let first = series.first else { continue }
            text +=
                "# HELP \(name) \(self.escaped(first.help, quotes: false))\n# TYPE \(name) \(first.kind.rawValue)\n"
            for sample in series {
                let labels = sample.labels.map { "\($0.name)=\"\(self.escaped($0.value, quotes: true))\"" }
                let braces = labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
                text += "\(name)\(sample.suffix)\(braces) \(sample.value)\n"
            }
        }
        return text
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var out = ""
        for character in text {
            switch character {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\"" where quotes: out += "\\\""
            default: out.append(character)
            }
        }
        return out
    }
}

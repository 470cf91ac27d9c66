import ArgumentParser
import StripeAPI

struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Whether a running deployment is ready; exit 1 when it is not, 69 without a reply.",
        discussion: "For health checks of containers, where there is no curl. Prints what is missing.")

    @Option(
        help:
            "The deployment's URL; without it the ops port of this machine (OPS_LISTEN) is asked, which has no TLS."
    )
    var url: String?
    @Flag(help: "Ask only whether the process lives, whatever it depends on.")
    var live = false

    func run() async throws {
        try await reporting {
            var reader = SettingsReader.environment()
            let ops = reader.listenAddress("OPS_LISTEN", default: "127.0.0.1:9090")
            guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
            // What listens everywhere listens here too.
            let host = ["0.0.0.0", "::"].contains(ops.host) ? "127.0.0.1" : ops.host
            let text = self.url ?? "http://\(ListenAddress(host: host, port: ops.port))"
            guard let base = try? OutboundBase(parsing: text) else {
                throw UsageError("--url must be https://…, or http://… on this machine")
            }
            let http = OutboundHTTP()
            defer { http.shutDown() }
            let path = (self.url == nil ? "" : "/api") + (self.live ? "/health" : "/ready")
            let request = OutboundRequest(.get, base, target: path, timeout: .seconds(5))
            let reply: OutboundReply
            do throws(OutboundFailure) {
                reply = try await http.send(request)
            } catch {
                complain("\(base) does not answer: \(error.label)")
                throw Exit.unavailable
            }
            guard reply.status != 200 else { return print("ok") }
            var missing: [String] = []
            if case .object(let checks)? = JSONReading(parsing: reply.body)?["checks"] {
                missing = checks.filter { $0.value.text != "ok" }.keys.sorted()
            }
            complain("\(base) answered \(reply.status); not there: \(missing.joined(separator: ", "))")
            throw Exit.checkFailed
        }
    }
}

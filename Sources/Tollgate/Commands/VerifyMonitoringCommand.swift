import ArgumentParser
import StripeAPI

struct VerifyMonitoringCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify-monitoring",
        abstract: "Whether metrics, rules and alert routes are live: somebody would hear of a fault.",
        discussion: """
            Asks the ops port whether every part is ready and every metric of the contract is there; Prometheus whether \
            it scrapes each instance, runs the rules of --rules as they are written, and knows an Alertmanager; and \
            Alertmanager whether every alert of those rules, with its severity and team, leads to somebody. Exit 1: a gap; 69: one of the three does not answer.
            """)

    @Option(help: "The ops port of an instance; else OPS_LISTEN, else http://127.0.0.1:9090.")
    var opsUrl: String?
    @Option(help: "Prometheus; else PROMETHEUS_URL.")
    var prometheusUrl: String?
    @Option(help: "Alertmanager; else ALERTMANAGER_URL.")
    var alertmanagerUrl: String?
    @Option(help: "Directory of the rules.")
    var rules = "ops/prometheus"
    @Option(help: "The job under which Prometheus scrapes Tollgate.")
    var job = "tollgate"
    @Flag(help: "Send one alert of each severity and team, which ends after a minute.")
    var sendTestAlert = false
    @Flag(help: "An array of {check, isGood, detail} on standard output.")
    var json = false

    func run() async throws {
        try await reporting {
            let groups = try RuleFile.groups(in: self.rules)
            let verifier = MonitoringVerifier(job: self.job)
            do {
                let findings = try await self.findings(verifier, groups)
                try self.show(findings)
            } catch let error as MonitoringVerifier.Unreachable {
                complain("does not answer: \(error.what)")
                throw Exit.unavailable
            }
        }
    }

    private func findings(
        _ verifier: MonitoringVerifier, _ groups: [RuleFile.Group]
    ) async throws -> [MonitoringFinding] {
        let ops = try self.base(
            "--ops-url",
            self.opsUrl ?? System.environment("OPS_LISTEN").map { "http://\($0)" }
                ?? "http://127.0.0.1:9090")
        let prometheus = try self.base(
            "--prometheus-url", self.prometheusUrl ?? System.environment("PROMETHEUS_URL"))
        let alertmanager = try self.base(
            "--alertmanager-url", self.alertmanagerUrl ?? System.environment("ALERTMANAGER_URL"))
        let kinds = AlertKind.all(in: groups)
        var findings = try await verifier.opsPort(ops)
        findings += try await verifier.prometheus(prometheus, rules: groups)
        findings += try await verifier.alertmanager(alertmanager, alerts: kinds)
        if self.sendTestAlert {
            findings.append(
                try await verifier.sendTestAlerts(alertmanager, alerts: kinds))
        }
        return findings
    }

    private func base(_ name: String, _ text: String?) throws -> OutboundBase {
        guard let text else {
            complain("\(name) is required")
            throw Exit.usage
        }
        do throws(OutboundBase.Problem) {
            return try OutboundBase(parsing: text, plainHTTP: .anywhere)
        } catch {
            complain("\(name): '\(text)' is no URL of http or https without user and query")
            throw Exit.usage
        }
    }

    private func show(_ findings: [MonitoringFinding]) throws {
        if self.json {
            print(try CommandJSON.of(findings))
        } else {
            for finding in findings { print(finding.text) }
        }
        guard findings.allSatisfy(\.isGood) else { throw Exit.checkFailed }
    }
}

import Foundation
import Metering
import StripeAPI

/// Asks a running deployment's ops port, Prometheus and Alertmanager whether somebody would hear of a fault.
struct MonitoringVerifier {
    /// Somebody does not answer: exit 69.
    struct Unreachable: Error { var what: String }

    let job: String
    private let http: OutboundHTTP

    init(job: String) {
        self.job = job
        var configuration = OutboundHTTP.Configuration()
        configuration.threads = 1
        configuration.totalTimeout = .seconds(10)
        self.http = OutboundHTTP(configuration)
    }

    // MARK: The ops port

    func opsPort(_ base: OutboundBase) async throws -> [MonitoringFinding] {
        let ready = try await self.get(base, "/ready")
        let text = String(decoding: ready.body, as: UTF8.self)
        let metrics = try await self.get(base, "/metrics")
        return [
            MonitoringFinding(
                check: "ready", isGood: ready.status == 200,
                detail: ready.status == 200 ? "every part can do its work" : text),
            ContractMetrics.check(String(decoding: metrics.body, as: UTF8.self)),
        ]
    }

    // MARK: Prometheus

    func prometheus(_ base: OutboundBase, rules: [RuleFile.Group]) async throws -> [MonitoringFinding] {
        let targets: PrometheusTargets = try await self.ask(base, "/api/v1/targets?state=active")
        let now = Double(Clock.wallMilliseconds()) / 1000
        let ours = targets.activeTargets.filter { $0.labels["job"] == self.job }
        var findings = ours.map { $0.finding(now: now) }
        if ours.isEmpty {
            findings.append(
                MonitoringFinding(
                    check: "targets", isGood: false, detail: "job '\(self.job)' has no target"))
        }
        let loaded: PrometheusRules = try await self.ask(base, "/api/v1/rules")
        findings += rules.map { $0.finding(loaded: loaded.groups) }
        let managers: PrometheusAlertmanagers = try await self.ask(base, "/api/v1/alertmanagers")
        let urls = managers.activeAlertmanagers.map(\.url)
        findings.append(
            MonitoringFinding(
                check: "alertmanagers", isGood: !urls.isEmpty,
                detail: urls.isEmpty ? "Prometheus knows none" : urls.joined(separator: ", ")))
        return findings
    }

    // MARK: Alertmanager

    private struct Status: Decodable {
        struct Config: Decodable { var original: String }
        var config: Config
    }

    func alertmanager(_ base: OutboundBase, alerts: [AlertKind]) async throws -> [MonitoringFinding] {
        let status: Status = try await self.decoded(base, "/api/v2/status")
        let routes = try AlertRoutes(parsing: status.config.original)
        return alerts.map { routes.finding($0.labels, alerts: $0.names) }
    }

    private struct TestAlert: Encodable {
        var labels: [String: String]
        var annotations: [String: String]
        var endsAt: String
    }

    /// One of each kind, which ends by itself: people see it where real ones would come.
    func sendTestAlerts(_ base: OutboundBase, alerts: [AlertKind]) async throws -> MonitoringFinding {
        let end = Timestamp.text(Clock.wallMilliseconds() + 60_000)
        let alerts = alerts.map { kind in
            TestAlert(
                labels: kind.labels.merging(["alertname": "TollgateTest"]) { $1 },
                annotations: [
                    "summary":
                        "A test of the alert route of \(kind.labels.values.sorted().joined(separator: ", "))",
                    "description": "Sent by tollgate verify-monitoring --send-test-alert; nothing is wrong.",
                ], endsAt: end)
        }
        let body = Array(try JSONEncoder().encode(alerts))
        let reply = try await self.send(
            OutboundRequest(
                .post, base, target: "/api/v2/alerts",
                headers: [.init("Content-Type", "application/json")], body: body))
        return MonitoringFinding(
            check: "test alerts", isGood: reply.status == 200,
            detail: reply.status == 200 ? "sent" : "refused with \(reply.status)")
    }

    // MARK: Asking

    private func ask<Payload: Decodable>(_ base: OutboundBase, _ target: String) async throws -> Payload {
        let answer: PrometheusAnswer<Payload> = try await self.decoded(base, target)
        return answer.data
    }

    private func decoded<Answer: Decodable>(_ base: OutboundBase, _ target: String) async throws -> Answer {
        let reply = try await self.get(base, target)
        guard reply.status == 200 else { throw Unreachable(what: "\(base)\(target): \(reply.status)") }
        return try JSONDecoder().decode(Answer.self, from: Data(reply.body))
    }

    private func get(_ base: OutboundBase, _ target: String) async throws -> OutboundReply {
        try await self.send(OutboundRequest(.get, base, target: target))
    }

    private func send(_ request: OutboundRequest) async throws -> OutboundReply {
        do throws(OutboundFailure) {
            return try await self.http.send(request)
        } catch {
            throw Unreachable(what: "\(request.base): \(error.label)")
        }
    }
}

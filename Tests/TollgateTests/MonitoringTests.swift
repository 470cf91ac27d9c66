import Testing

@testable import Tollgate

/// What `verify-monitoring` calls a gap.
@Suite struct MonitoringTests {
    private static let configuration = """
        route:
          receiver: slack
          routes:
            - matchers: ['severity="page"']
              receiver: pagerduty
              continue: true
            - match: {severity: nothing}
              receiver: nobody
        receivers:
          - name: slack
            slack_configs: [{channel: x}]
          - name: pagerduty
            pagerduty_configs: [{routing_key_file: x}]
          - name: nobody
        """

    @Test func aSeverityLeadsToWhoIsTold() throws {
        let routes = try AlertRoutes(parsing: Self.configuration)
        #expect(routes.finding(severity: "page").detail == "leads to pagerduty")
        #expect(routes.finding(severity: "ticket").detail == "leads to slack")
        #expect(!routes.finding(severity: "nothing").isGood, "a receiver that tells nobody is a gap")
    }

    private static func group(_ rule: RuleFile.Rule) -> RuleFile.Group { .init(name: "g", rules: [rule]) }

    private static func loaded(
        _ query: String, duration: Double = 300, severity: String = "page", health: String = "ok"
    ) -> [PrometheusRules.Group] {
        [
            .init(
                name: "g",
                rules: [
                    .init(
                        name: "A", query: query, health: health, lastError: "why", duration: duration,
                        labels: ["severity": severity], type: "alerting")
                ])
        ]
    }

    @Test func aRuleMustBeAsWritten() {
        let ours = Self.group(
            .init(
                alert: "A", record: nil, expr: "sum by (a) (x)\n  > 0", for: "5m",
                labels: ["severity": "page"]))
        #expect(ours.finding(loaded: Self.loaded("sum by (a) (x) > 0")).isGood)
        #expect(!ours.finding(loaded: []).isGood)
        #expect(!ours.finding(loaded: Self.loaded("sum by (a) (x) > 1")).isGood)
        #expect(!ours.finding(loaded: Self.loaded("sum by (a) (x) > 0", duration: 60)).isGood)
        #expect(!ours.finding(loaded: Self.loaded("sum by (a) (x) > 0", severity: "ticket")).isGood)
        let failing = ours.finding(loaded: Self.loaded("sum by (a) (x) > 0", health: "err"))
        #expect(failing.detail == "A fails: why")
    }

    @Test func aTargetIsUpAndFresh() {
        var target = PrometheusTargets.Target(
            labels: ["instance": "i"], health: "up", lastError: "",
            lastScrape: "1970-01-01T00:16:40.123456789Z",
            scrapeInterval: "15s")
        #expect(target.finding(now: 1_030).isGood && !target.finding(now: 1_032).isGood)
        target.health = "down"
        #expect(!target.finding(now: 1_000).isGood)
    }

    @Test func durationsAreReadAsPrometheusWritesThem() {
        #expect(PromDuration.seconds("1h30m") == 5400 && PromDuration.seconds("500ms") == 0.5)
        #expect(PromDuration.seconds("") == nil && PromDuration.seconds("5") == nil)
    }

    @Test func aMissingMetricIsNamed() {
        let all = ContractMetrics.names.map { "# TYPE \($0) gauge\n" }.joined()
        #expect(ContractMetrics.check(all).isGood)
        let finding = ContractMetrics.check(
            all.replacing("# TYPE holds_open gauge", with: "# HELP holds_open x"))
        #expect(!finding.isGood && finding.detail == "missing: holds_open")
    }
}

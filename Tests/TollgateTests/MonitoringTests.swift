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
        func finding(_ severity: String) -> MonitoringFinding {
            routes.finding(["severity": severity], alerts: ["A"])
        }
        #expect(
            finding("page").detail == "leads to pagerduty"
                && finding("page").check == "alert route severity page")
        #expect(finding("ticket").detail == "leads to slack")
        #expect(!finding("nothing").isGood, "a receiver that tells nobody is a gap")
    }

    private static func routes(_ children: String) throws -> AlertRoutes {
        try AlertRoutes(
            parsing: """
                route: {receiver: nobody, routes: [\(children)]}
                receivers: [{name: nobody}, {name: a, slack_configs: [{}]}, {name: b, slack_configs: [{}]}]
                """)
    }

    /// A business team's tickets may go elsewhere than those of operations, and one of them to nobody.
    @Test func aTeamThatNobodyToldIsAGap() throws {
        let routes = try Self.routes(
            #"{matchers: ['severity="ticket"', 'team="business"'], receiver: a}, {matchers: ['severity="page"'], receiver: b}"#
        )
        func finding(_ severity: String, _ team: String) -> MonitoringFinding {
            routes.finding(["severity": severity, "team": team], alerts: ["A"])
        }
        #expect(finding("ticket", "business").detail == "leads to a")
        #expect(finding("ticket", "business").check == "alert route severity ticket, team business")
        #expect(finding("ticket", "operations").detail == "A leads to nobody")
        #expect(finding("page", "operations").isGood)
    }

    /// Routes may name alerts, so each is asked for.
    @Test func oneAlertThatIsRoutedToNobodyIsNamed() throws {
        let routes = try Self.routes("{matchers: ['alertname=~\"A|B\"'], receiver: a}")
        #expect(routes.finding([:], alerts: ["A", "B"]).isGood)
        #expect(routes.finding([:], alerts: ["A", "AB", "B"]).detail == "AB leads to nobody")
    }

    @Test func allThatHearAreTold() throws {
        let routes = try Self.routes(
            "{matchers: [x=y], receiver: a, continue: true}, {receiver: b}, {receiver: nobody}")
        #expect(try routes.receivers(of: ["x": "y"]) == ["a", "b"])
        #expect(try routes.receivers(of: [:]) == ["b"])
        let inner = try Self.routes(
            "{matchers: [x=y], routes: [{matchers: [z=1], receiver: b}], receiver: a}")
        #expect(try inner.receivers(of: ["x": "y", "z": "1"]) == ["b"])
        #expect(try inner.receivers(of: ["x": "y", "z": "2"]) == ["a"])
    }

    /// (matcher, value of the label `l` or none, whether it takes it): as `amtool config routes test` has it.
    @Test(
        arguments: [
            (#"l="a""#, "a", true), (#"l="a""#, "ab", false), ("l=a", "a", true), (#" l = "a" "#, "a", true),
            (#"l=""#, "a", nil), (#"l="""#, nil, true), (#"l="""#, "a", false),
            (#"l!="a""#, "b", true), (#"l!="a""#, "a", false), (#"l!="a""#, nil, true),
            (#"l=~"a|b""#, "b", true), (#"l=~"a|b""#, "ab", false), (#"l=~"a""#, "xax", false),
            (#"l=~".*a.*""#, "xax", true),
            (#"l=~".+""#, nil, false), (#"l=~".*""#, nil, true), (#"l=~"a\\.b""#, "a.b", true),
            (#"l=~"a\\.b""#, "axb", false),
            (#"l!~"a|b""#, "a", false), (#"l!~"a|b""#, "ab", true), (#"l!~"a|b""#, nil, true),
            (#"l=~"(""#, "a", nil), ("l", "a", nil), ("=a", "a", nil),
            (#"{l="a"}"#, "a", true), (#"l="a", l!="b""#, "a", true), (#"l="a,b""#, "a,b", true),
            (#"l=~"a{1,2}""#, "aa", true), (#"l="a\"b""#, "a\"b", true), (#"l="a"b""#, "a", nil),
        ] as [(String, String?, Bool?)])
    func matchersAreAlertmanagers(_ text: String, _ value: String?, _ isTaken: Bool?) throws {
        let labels = value.map { ["l": $0] } ?? [:]
        guard let isTaken else {
            #expect(throws: BadMatcher.self) { try AlertMatcher.list(parsing: text) }
            return
        }
        #expect(try AlertMatcher.list(parsing: text).allSatisfy { $0.takes(labels) } == isTaken)
    }

    @Test func theOlderWaysToWriteMatchersAreRead() throws {
        let routes = try Self.routes("{match: {x: y}, match_re: {z: '1|2'}, receiver: a}")
        #expect(try routes.receivers(of: ["x": "y", "z": "2"]) == ["a"])
        #expect(try routes.receivers(of: ["x": "y", "z": "12"]) == ["nobody"])
    }

    @Test func aMatcherThatCannotBeReadIsAGap() throws {
        let finding = try Self.routes("{matchers: ['x=~\"(\"'], receiver: a}").finding([:], alerts: ["A"])
        #expect(!finding.isGood && finding.detail.contains("cannot be read"))
    }

    @Test func alertsAreAskedForByTheLabelsThatTheyAreRoutedBy() {
        func rule(_ alert: String?, _ labels: [String: String]?) -> RuleFile.Rule {
            .init(alert: alert, record: alert == nil ? "r" : nil, expr: "1", for: nil, labels: labels)
        }
        let (one, other) = (["severity": "page", "team": "x"], ["severity": "page", "team": "y"])
        let kinds = AlertKind.all(in: [
            .init(name: "g", rules: [rule("A", one), rule(nil, nil), rule("B", other), rule("C", one)])
        ])
        #expect(kinds == [.init(labels: one, names: ["A", "C"]), .init(labels: other, names: ["B"])])
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

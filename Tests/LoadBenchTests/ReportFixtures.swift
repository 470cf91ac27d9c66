@testable import LoadBench

/// Runs with figures that can be followed by hand.
enum ReportFixtures {
    /// 1,000 exchanges in 10 s; the proxy used `cpuSeconds` for them, nil: it was not watched.
    static func run(
        _ lane: String, _ round: Int, cpuSeconds: Double? = nil, p50: Int = 1000, p99: Int = 2000
    ) -> RunResult {
        var run = RunResult(lane: lane, round: round, seconds: 10)
        (run.started, run.succeeded, run.completed) = (1000, 1000, 1000)
        run.total = self.quantiles(p50: p50, p99: p99)
        if let cpuSeconds {
            run.processes = [
                ProcessUse(
                    name: "proxy", cpuSeconds: cpuSeconds, residentBefore: 10_000_000,
                    residentAfter: 11_000_000,
                    residentPeak: 12_000_000)
            ]
        }
        return run
    }

    static func quantiles(p50: Int, p99: Int, count: Int = 1000) -> Quantiles {
        Quantiles(
            count: count, min: p50 / 2, mean: Double(p50), p50: p50, p90: (p50 + p99) / 2, p99: p99,
            p999: p99,
            max: p99,
            curve: [
                .init(share: 0, value: p50 / 2), .init(share: 0.5, value: p50),
                .init(share: 0.99, value: p99),
                .init(share: 1, value: p99),
            ])
    }

    static func scenario(_ runs: [RunResult], name: String = "chat-small") -> ScenarioResult {
        ScenarioResult(name: name, summary: "Small replies.", yaml: "name: \(name)\n", runs: runs)
    }

    static func suite(_ scenarios: [ScenarioResult]) -> SuiteResult {
        SuiteResult(
            startedAt: "2026-11-28T09:00:00Z",
            machine: Machine(
                cpu: "A processor", cores: 2, memoryBytes: 8_000_000_000, kernel: "Linux 6",
                layout: "not pinned",
                loadBefore: 0.25, versions: ["tollgate 1.2.3", "nginx/1.22.1"]),
            scenarios: scenarios)
    }

    /// Three lanes, two rounds and a warm-up; the governed lane owes 12 millicredits and has errors of two kinds.
    static var eventful: SuiteResult {
        let runs = (0...2).flatMap { round in
            var governed = self.run("governed", round, cpuSeconds: 0.05, p50: 1500, p99: 3000)
            governed.billing = BillingScore(
                charged: 600_012, due: 600_000, exchanges: 1000, verifyFindings: 0)
            governed.fidelity = FidelityScore(compared: 500, differing: 0)
            governed.errors = ["cut": 1, "status 503": 2]
            governed.gap = self.quantiles(p50: 100, p99: 200)
            return [
                self.run("direct", round), self.run("nginx", round, cpuSeconds: 0.04, p50: 1200), governed,
            ]
        }
        return self.suite([self.scenario(runs)])
    }
}

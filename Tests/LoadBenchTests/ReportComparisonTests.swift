import Testing

@testable import LoadBench

/// What a report claims is decided here: which runs are compared with which, and what counts.
@Suite struct ReportComparisonTests {
    private typealias Fixtures = ReportFixtures

    private func lanes(
        _ runs: [RunResult], baseline: String? = "nginx"
    ) -> [String: LaneComparison] {
        let lanes = Fixtures.scenario(runs).comparison(baseline: baseline)
        return Dictionary(uniqueKeysWithValues: lanes.map { ($0.lane, $0) })
    }

    @Test func lanesComeInOrderOfTheirFirstMeasuredRun() {
        let runs = [
            Fixtures.run("warm only", 0), Fixtures.run("b", 1), Fixtures.run("a", 1), Fixtures.run("b", 2),
        ]
        let comparison = Fixtures.scenario(runs).comparison(baseline: nil)
        #expect(comparison.map(\.lane) == ["b", "a"])
        #expect(comparison.map(\.rounds) == [2, 1])
    }

    @Test func theWarmUpDoesNotCount() throws {
        var warmUp = Fixtures.run("nginx", 0, cpuSeconds: 9, p50: 90_000)
        warmUp.errors = ["cut": 5]
        warmUp.billing = BillingScore(charged: 1, due: 0, exchanges: 1)
        let lane = try #require(self.lanes([warmUp, Fixtures.run("nginx", 1, cpuSeconds: 0.04)])["nginx"])
        #expect(lane.totalP50 == 1000 && lane.failed == 0 && lane.billing == nil)
        #expect(lane.cpuPerExchange.map { Int($0.rounded()) } == 40)
        #expect(lane.residentPeak == 12_000_000)
    }

    /// 30 and 40 µs for the exchange of the baseline, 60 and 50 for ours: 35 over 55, with 0.5 and 0.8 of the rounds beside it.
    @Test func ratiosAreOfMediansWithTheExtremesOfSingleRounds() throws {
        let runs = [
            Fixtures.run("nginx", 1, cpuSeconds: 0.03), Fixtures.run("governed", 1, cpuSeconds: 0.06),
            Fixtures.run("nginx", 2, cpuSeconds: 0.04), Fixtures.run("governed", 2, cpuSeconds: 0.05),
        ]
        let ratio = try #require(self.lanes(runs)["governed"]?.perCoreRatio)
        #expect(
            abs(ratio.median - 35.0 / 55) < 1e-9 && abs(ratio.low - 0.5) < 1e-9
                && abs(ratio.high - 0.8) < 1e-9)
        #expect(self.lanes(runs)["nginx"]?.perCoreRatio == .init(median: 1, low: 1, high: 1))
    }

    @Test func aRoundWithoutTheBaselineHasNoRatio() throws {
        let runs = [
            Fixtures.run("nginx", 1, cpuSeconds: 0.03), Fixtures.run("governed", 1, cpuSeconds: 0.06),
            Fixtures.run("governed", 2, cpuSeconds: 0.6), Fixtures.run("late", 3, cpuSeconds: 0.6),
        ]
        let lanes = self.lanes(runs)
        #expect(lanes["governed"]?.perCoreRatio == .init(median: 0.5, low: 0.5, high: 0.5))
        #expect(lanes["late"]?.perCoreRatio == nil)
    }

    @Test(arguments: [nil, "haproxy", "direct"] as [String?])
    func withoutABaselineThatWasWatchedThereAreNoRatios(_ baseline: String?) {
        let runs = [Fixtures.run("direct", 1), Fixtures.run("governed", 1, cpuSeconds: 0.06)]
        let lanes = self.lanes(runs, baseline: baseline)
        #expect(lanes.values.allSatisfy { $0.perCoreRatio == nil })
        #expect(lanes["governed"]?.cpuPerExchange != nil && lanes["direct"]?.cpuPerExchange == nil)
    }

    /// The kernel counts CPU time in ticks: a run may have used none.
    @Test func noCPUTimeIsNoRatio() {
        let runs = [Fixtures.run("nginx", 1, cpuSeconds: 0.03), Fixtures.run("governed", 1, cpuSeconds: 0)]
        #expect(self.lanes(runs)["governed"]?.perCoreRatio == nil)
        #expect(self.lanes(runs, baseline: "governed")["nginx"]?.perCoreRatio == nil)
    }

    @Test func addedTimeIsOverTheDirectRunOfTheSameRound() throws {
        let runs = [
            Fixtures.run("direct", 1, p50: 100, p99: 200), Fixtures.run("governed", 1, p50: 150, p99: 300),
            Fixtures.run("direct", 2, p50: 500, p99: 900), Fixtures.run("governed", 2, p50: 570, p99: 1200),
            Fixtures.run("governed", 3, p50: 9000, p99: 9000),
        ]
        let lane = try #require(self.lanes(runs)["governed"])
        #expect(lane.addedP50 == 60 && lane.addedP99 == 200)
        #expect(self.lanes(runs)["direct"]?.addedP50 == 0)
    }

    @Test func withoutADirectLaneNothingIsAdded() {
        let lanes = self.lanes([Fixtures.run("governed", 1)])
        #expect(lanes["governed"]?.addedP50 == nil && lanes["governed"]?.addedP99 == nil)
    }

    @Test(arguments: [([5, 1, 3], 3), ([4, 1, 3, 2], 3), ([7], 7)])
    func figuresAreMediansOverRounds(_ p50s: [Int], _ median: Int) {
        // The median of four is 2.5, and times are whole microseconds.
        let runs = p50s.enumerated().map { Fixtures.run("governed", $0.offset + 1, p50: $0.element) }
        #expect(self.lanes(runs)["governed"]?.totalP50 == median)
    }

    @Test func aRoundInWhichNothingArrivedDoesNotMakeALaneFast() throws {
        var dead = RunResult(lane: "governed", round: 2, seconds: 10)
        dead.errors = ["connect": 7]
        let runs = [
            Fixtures.run("direct", 1), Fixtures.run("direct", 2), Fixtures.run("governed", 1, p50: 1500),
            dead,
        ]
        let lane = try #require(self.lanes(runs)["governed"])
        #expect(lane.totalP50 == 1500 && lane.addedP50 == 500 && lane.failed == 7 && lane.rounds == 2)
        #expect(lane.perSecond == 50, "that nothing arrived is part of the rate")
    }

    @Test func moneyAndFidelityAreSumsAndFindingsTheLargest() throws {
        var (first, second, third) = (Fixtures.run("g", 1), Fixtures.run("g", 2), Fixtures.run("g", 3))
        first.billing = BillingScore(charged: 10, due: 11, exchanges: 2, verifyFindings: 3)
        second.billing = BillingScore(charged: 20, due: 19, exchanges: 3)
        third.billing = BillingScore(charged: 1, due: 1, exchanges: 1, verifyFindings: 1)
        first.fidelity = FidelityScore(compared: 5, differing: 1)
        third.fidelity = FidelityScore(compared: 6, differing: 2)
        let lane = try #require(self.lanes([first, second, third])["g"])
        #expect(lane.billing == BillingScore(charged: 31, due: 31, exchanges: 6, verifyFindings: 3))
        #expect(lane.fidelity == FidelityScore(compared: 11, differing: 3))
    }

    @Test func nothingMeasuredIsNothing() {
        #expect(Fixtures.scenario([]).comparison(baseline: "nginx").isEmpty)
        #expect(Fixtures.scenario([Fixtures.run("nginx", 0)]).comparison(baseline: "nginx").isEmpty)
    }
}

extension ScenarioResult {
    /// One per lane that ran in a measured round, in order of first appearance. The warm-up (round 0) does not count.
    ///
    /// Figures are medians over rounds; a round in which nothing was observed has no say in them. Ratios are of
    /// medians over the rounds that both lanes played, added times medians of differences in the same round; nil
    /// without one. Counts, billing and fidelity are sums over rounds; findings of `verify` and the peak of memory are
    /// the largest of any round.
    public func comparison(baseline: String?, direct: String = "direct") -> [LaneComparison] {
        let baselineRuns = baseline.map { self.runsByRound(lane: $0) } ?? [:]
        let directRuns = self.runsByRound(lane: direct)
        return self.measuredLanes.map { lane in
            var comparison = LaneComparison(
                lane: lane, runs: self.measuredRuns(lane: lane), baseline: baselineRuns, direct: directRuns)
            comparison.memory = self.memoryGrowth(lane: lane)
            return comparison
        }
    }

    /// nil: not bounded, or not of Tollgate.
    func memoryGrowth(lane: String) -> MemoryGrowth? {
        let uses = self.runs.filter { $0.lane == lane }.sorted { $0.round < $1.round }
            .compactMap { $0.process(.proxy) }
        guard let most = self.memoryGrowthMax, StackLane(rawValue: lane)?.isOurs == true,
            let first = uses.first, let last = uses.last
        else { return nil }
        return MemoryGrowth(bytes: last.residentAfter - first.residentBefore, max: most)
    }

    var measuredLanes: [String] {
        var seen: Set<String> = []
        return self.runs.filter { $0.round > 0 && seen.insert($0.lane).inserted }.map(\.lane)
    }

    /// Ascending by round.
    func measuredRuns(lane: String) -> [RunResult] {
        self.runs.filter { $0.round > 0 && $0.lane == lane }.sorted { $0.round < $1.round }
    }

    private func runsByRound(lane: String) -> [Int: RunResult] {
        Dictionary(
            self.measuredRuns(lane: lane).map { ($0.round, $0) }, uniquingKeysWith: { first, _ in first })
    }
}

extension LaneComparison {
    /// `runs` are measured ones of this lane; the others are by round.
    init(lane: String, runs: [RunResult], baseline: [Int: RunResult], direct: [Int: RunResult]) {
        self.lane = lane
        self.rounds = Set(runs.map(\.round)).count
        self.perSecond = runs.map(\.perSecond).median ?? 0
        self.cpuPerExchange = runs.compactMap(\.proxyMicrosecondsEach).median
        self.firstByteP50 = Self.median(runs, of: \.firstByte, at: \.p50)
        self.firstByteP99 = Self.median(runs, of: \.firstByte, at: \.p99)
        self.totalP50 = Self.median(runs, of: \.total, at: \.p50)
        self.totalP99 = Self.median(runs, of: \.total, at: \.p99)
        self.gapP99 = Self.median(runs, of: \.gap, at: \.p99)
        self.addedP50 = Self.added(runs, to: direct, of: \.total, at: \.p50)
        self.addedP99 = Self.added(runs, to: direct, of: \.total, at: \.p99)
        self.addedGapP99 = Self.added(runs, to: direct, of: \.gap, at: \.p99)
        self.perCoreRatio = Self.ratio(runs, to: baseline)
        self.residentPeak = runs.compactMap { $0.process(.proxy)?.residentPeak }.max()
        self.failed = runs.reduce(0) { $0 + $1.failed }
        self.unpriced = runs.reduce(0) { $0 + $1.unpriced }
        self.billing = BillingScore(sumOf: runs.compactMap(\.billing))
        self.fidelity = FidelityScore(sumOf: runs.compactMap(\.fidelity))
        self.memory = nil
    }

    private static func median(
        _ runs: [RunResult], of distribution: KeyPath<RunResult, Quantiles>,
        at quantile: KeyPath<Quantiles, Int>
    ) -> Int {
        let observed = runs.map { $0[keyPath: distribution] }.filter { $0.count > 0 }
        return observed.map { Double($0[keyPath: quantile]) }.median.map { Int($0.rounded()) } ?? 0
    }

    private static func added(
        _ runs: [RunResult], to direct: [Int: RunResult], of times: KeyPath<RunResult, Quantiles>,
        at quantile: KeyPath<Quantiles, Int>
    ) -> Double? {
        runs.compactMap { run -> Double? in
            guard let other = direct[run.round]?[keyPath: times], other.count > 0,
                run[keyPath: times].count > 0
            else { return nil }
            return Double(run[keyPath: times][keyPath: quantile] - other[keyPath: quantile])
        }.median
    }

    /// Of the medians of rounds that both played.
    private static func ratio(_ runs: [RunResult], to baseline: [Int: RunResult]) -> Spread? {
        guard var spread = Spread(of: Self.ratios(runs, to: baseline)) else { return nil }
        let common = runs.filter { baseline[$0.round] != nil }
        if let own = common.compactMap(\.proxyMicrosecondsEach).median, own > 0,
            let other = common.compactMap({ baseline[$0.round]?.proxyMicrosecondsEach }).median
        {
            spread.median = other / own
        }
        return spread
    }

    private static func ratios(_ runs: [RunResult], to baseline: [Int: RunResult]) -> [Double] {
        runs.compactMap { run in
            // A run too short for the clock of the kernel used 0 s: nothing can be said of it.
            guard let own = run.proxyMicrosecondsEach, own > 0,
                let other = baseline[run.round]?.proxyMicrosecondsEach, other > 0
            else { return nil }
            return other / own
        }
    }
}

extension BillingScore {
    /// nil of nothing.
    init?(sumOf scores: [BillingScore]) {
        guard !scores.isEmpty else { return nil }
        self.init(
            charged: scores.reduce(0) { $0 + $1.charged }, due: scores.reduce(0) { $0 + $1.due },
            exchanges: scores.reduce(0) { $0 + $1.exchanges },
            verifyFindings: scores.compactMap(\.verifyFindings).max())
    }
}

extension FidelityScore {
    /// nil of nothing.
    init?(sumOf scores: [FidelityScore]) {
        guard !scores.isEmpty else { return nil }
        self.init(
            compared: scores.reduce(0) { $0 + $1.compared }, differing: scores.reduce(0) { $0 + $1.differing }
        )
    }
}

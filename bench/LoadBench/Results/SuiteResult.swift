/// A whole invocation: what `--json` writes, and what the report is made of.
public struct SuiteResult: Codable, Sendable, Equatable {
    /// Of this document.
    public var schema = 1
    /// RFC 3339, UTC.
    public var startedAt: String
    public var machine: Machine
    public var scenarios: [ScenarioResult]

    public init(startedAt: String, machine: Machine, scenarios: [ScenarioResult]) {
        self.startedAt = startedAt
        self.machine = machine
        self.scenarios = scenarios
    }
}

public struct Machine: Codable, Sendable, Equatable {
    public var cpu: String
    public var cores: Int
    public var memoryBytes: Int
    public var kernel: String
    /// How processes are spread: `proxies, one under load at a time, on core 1, all else on core 0`, `not pinned`.
    public var layout: String
    /// Load average of the last minute when the suite began: what is above 0 disturbs.
    public var loadBefore: Double
    /// `tollgate 1.2.3`, `nginx/1.22.1`, … as the programs say it.
    public var versions: [String]

    public init(
        cpu: String, cores: Int, memoryBytes: Int, kernel: String, layout: String, loadBefore: Double,
        versions: [String]
    ) {
        self.cpu = cpu
        self.cores = cores
        self.memoryBytes = memoryBytes
        self.kernel = kernel
        self.layout = layout
        self.loadBefore = loadBefore
        self.versions = versions
    }
}

public struct ScenarioResult: Codable, Sendable, Equatable {
    public var name: String
    public var summary: String
    /// The file, as it was run.
    public var yaml: String
    /// Of `tollgate verify` behind the last turn, and whatever else was not as it should be besides the runs.
    public var findings: [String] = []
    /// In the order in which they took turns: round by round, every lane once.
    public var runs: [RunResult]
    /// As `Scenario.memoryGrowthMax`.
    public var memoryGrowthMax: Int?

    public init(name: String, summary: String, yaml: String, runs: [RunResult] = []) {
        self.name = name
        self.summary = summary
        self.yaml = yaml
        self.runs = runs
    }
}

/// A scenario's runs put side by side. Lanes take turns: what disturbs the machine for a while disturbs all of them.
public struct LaneComparison: Sendable, Equatable {
    public var lane: String
    public var rounds: Int
    public var perSecond: Double
    /// CPU microseconds of the proxy for an exchange, or for a chunk where the scenario streams; nil where no process of
    /// the lane could be watched.
    public var cpuPerExchange: Double?
    public var firstByteP50: Int
    public var firstByteP99: Int
    public var totalP50: Int
    public var totalP99: Int
    public var gapP99: Int
    /// Added to the direct lane's, same round.
    public var addedGapP99: Double?
    /// Added to the direct lane's median and 99th percentile of `total`, same round; nil without a direct lane.
    public var addedP50: Double?
    public var addedP99: Double?
    /// Exchanges (chunks) per CPU second over the baseline's: above 1 is less CPU than the baseline. Of the medians, with the
    /// extremes of single rounds.
    public var perCoreRatio: Spread?
    public var residentPeak: Int?
    public var failed: Int
    /// Of the rounds that could be judged.
    public var billing: BillingScore?
    /// Exchanges of all rounds whose cost nobody but the proxy knows; their rounds are not judged.
    public var unpriced: Int
    public var fidelity: FidelityScore?
    /// Of lanes of Tollgate, where the scenario bounds it.
    public var memory: MemoryGrowth?

    public struct Spread: Sendable, Equatable {
        public var median: Double
        public var low: Double
        public var high: Double

        public init(median: Double, low: Double, high: Double) {
            self.median = median
            self.low = low
            self.high = high
        }
    }
}

/// Bytes of a proxy behind its last exchange over those before its first one, the warm-up's included.
public struct MemoryGrowth: Sendable, Equatable {
    public var bytes: Int
    public var max: Int

    public var isWithin: Bool { self.bytes <= self.max }
}

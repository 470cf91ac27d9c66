/// What one run of one scenario on one lane showed. Times are microseconds, sizes are bytes, money is millicredits.
public struct RunResult: Codable, Sendable, Equatable {
    /// Name of the lane, as `Lane.name`.
    public var lane: String
    /// From 1, in the order in which the lanes took turns; 0 is the warm-up, which no summary counts.
    public var round: Int
    /// Length of the measured part.
    public var seconds: Double
    /// Exchanges that began in the measured part.
    public var started: Int
    /// Of those: ended as the scenario wants it, a 402 of a client that is short of money and a hang-up of one that is to
    /// hang up included.
    public var succeeded: Int
    /// Ended as the scenario wants it in the measured part, whenever they began: what rate and CPU are counted by. More than
    /// a lane can serve does not make it faster.
    public var completed: Int
    /// All others of the measured part, by what went wrong (`connect: Connection refused`, `status 503`, `cut`, `differs`,
    /// `timeout`, …).
    public var errors: [String: Int]
    /// Of exchanges that began before or after the measured part.
    public var otherErrors: [String: Int]
    /// Exchanges whose cost nobody but the proxy knows: cut off without being drained, or failed on the way. The books are
    /// not judged then. 0 where nobody looks at books.
    public var unpriced: Int
    /// Reply heads by status.
    public var statuses: [Int: Int]
    /// `data:` events of streams that arrived.
    public var chunks: Int
    public var receivedBytes: Int
    /// Times are of clients that wait as usual and got a 200: to the first byte of the body, from when the exchange was to begin (open loop) or began (closed loop).
    public var firstByte: Quantiles
    /// Between two arrivals of one stream.
    public var gap: Quantiles
    /// To the end of the reply.
    public var total: Quantiles
    public var processes: [ProcessUse]
    /// nil: nothing was charged here, or nobody can tell.
    public var billing: BillingScore?
    /// nil: there is nothing to compare with.
    public var fidelity: FidelityScore?

    public init(lane: String, round: Int, seconds: Double) {
        self.lane = lane
        self.round = round
        self.seconds = seconds
        (self.started, self.succeeded, self.completed, self.chunks, self.receivedBytes) = (0, 0, 0, 0, 0)
        (self.errors, self.otherErrors, self.statuses, self.processes) = ([:], [:], [:], [])
        self.unpriced = 0
        (self.firstByte, self.gap, self.total) = (.none, .none, .none)
    }

    public var failed: Int { self.errors.values.reduce(0, +) }
    public var perSecond: Double { self.seconds > 0 ? Double(self.completed) / self.seconds : 0 }

    /// What CPU is counted by: chunks of streams, else exchanges. A stream may be longer than the measured part.
    public var units: Int { self.chunks > 0 ? self.chunks : self.completed }

    /// CPU seconds of `process` for 1,000 units; nil without any, or when it was not watched.
    public func cpuPerThousand(_ process: String) -> Double? {
        guard self.units > 0, let use = self.processes.first(where: { $0.name == process }) else {
            return nil
        }
        return use.cpuSeconds / Double(self.units) * 1000
    }
}

/// A distribution, as far as it is told.
public struct Quantiles: Codable, Sendable, Equatable {
    public var count: Int
    public var min: Int
    public var mean: Double
    public var p50: Int
    public var p90: Int
    public var p99: Int
    public var p999: Int
    public var max: Int
    /// For a plot: value at each share of at most so many (0…1), ascending in both.
    public var curve: [Point]

    public struct Point: Codable, Sendable, Equatable {
        public var share: Double
        public var value: Int

        public init(share: Double, value: Int) {
            self.share = share
            self.value = value
        }
    }

    public static let none = Quantiles(
        count: 0, min: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0, curve: [])
}

/// What a process of the deployment used in the measured part of a run.
public struct ProcessUse: Codable, Sendable, Equatable {
    /// `proxy`, `redis`, `postgres`, `mock`, `bench`.
    public var name: String
    public var cpuSeconds: Double
    /// From the end of the measured part until nothing was under way, settlement included.
    public var cpuSecondsAfter = 0.0
    /// Anonymous and shared memory before the first exchange and after the last one, children included; pages of files
    /// (programs, a mapped journal) are not the process' own.
    public var residentBefore: Int
    public var residentAfter: Int
    public var residentPeak: Int

    public init(name: String, cpuSeconds: Double, residentBefore: Int, residentAfter: Int, residentPeak: Int)
    {
        self.name = name
        self.cpuSeconds = cpuSeconds
        self.residentBefore = residentBefore
        self.residentAfter = residentAfter
        self.residentPeak = residentPeak
    }

    /// Another look at its memory, behind the last exchange.
    mutating func isLeft(residentBytes: Int) {
        self.residentAfter = residentBytes
        self.residentPeak = max(self.residentPeak, residentBytes)
    }
}

/// Whether what was charged is what was used, to the last millicredit.
public struct BillingScore: Codable, Sendable, Equatable {
    public var charged: Int64
    /// By the usage that the upstream told, or that came with the replies.
    public var due: Int64
    /// Exchanges that `due` is made of.
    public var exchanges: Int
    /// Findings of `tollgate verify` in the same run; nil when it was not asked.
    public var verifyFindings: Int?

    public init(charged: Int64, due: Int64, exchanges: Int, verifyFindings: Int? = nil) {
        self.charged = charged
        self.due = due
        self.exchanges = exchanges
        self.verifyFindings = verifyFindings
    }

    public var difference: Int64 { self.charged - self.due }
    public var isExact: Bool { self.difference == 0 && (self.verifyFindings ?? 0) == 0 }
}

/// Whether replies arrived as the upstream sends them, byte by byte behind the transfer coding.
public struct FidelityScore: Codable, Sendable, Equatable {
    public var compared: Int
    public var differing: Int

    public init(compared: Int, differing: Int) {
        self.compared = compared
        self.differing = differing
    }

    public var isExact: Bool { self.differing == 0 }
}

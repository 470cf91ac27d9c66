import NIOCore
import NIOPosix

/// Drives one scenario against one target, once.
public struct LoadRun: Sendable {
    public var scenario: Scenario
    public var requests: RequestPlan
    /// By template; empty where the upstream answers as it likes.
    public var expected: [ExpectedReply]
    public var target: LoadTarget
    public var credentials: Credentials
    /// Prices replies that were not expected.
    public var pricer: UsagePricer?
    public var seed: UInt64

    public init(
        scenario: Scenario, requests: RequestPlan, expected: [ExpectedReply], target: LoadTarget,
        credentials: Credentials, pricer: UsagePricer? = nil, seed: UInt64
    ) {
        self.scenario = scenario
        self.requests = requests
        self.expected = expected
        self.target = target
        self.credentials = credentials
        self.pricer = pricer
        self.seed = seed
    }

    /// What is told while it runs.
    public enum Moment: Sendable {
        case warmingUp
        /// Now is the first moment that counts.
        case measuring
        case running(share: Double)
        /// Nothing that begins from now on counts; what is under way is waited for.
        case ending
    }

    public struct Outcome: Sendable {
        public var result: RunResult
        /// Of all exchanges, those outside of the measured part included.
        public var dueMillicredits: Int64
        public var chargeable: Int
    }

    private static let step = Duration.milliseconds(200)

    /// - Parameter tell: called from time to time, on the task of the caller; an error of its ends the run, and is thrown.
    public func run(
        on group: any EventLoopGroup, lane: String, round: Int, tell: (Moment) throws -> Void
    ) async throws -> Outcome {
        let loops = Array(group.makeIterator())
        let begin = NIODeadline.now()
        let opens = begin + .nanoseconds(Int64(self.scenario.warmUpSeconds * 1e9))
        let gate = LoadLoop.Gate(
            opens: opens, closes: opens + .nanoseconds(Int64(self.scenario.durationSeconds * 1e9)))
        let loads = loops.enumerated().map { index, loop in
            self.load(on: loop, index, of: loops.count, begin, gate)
        }
        let running = loads.map { load in
            load.flatMap { bound in bound.value.run().map { bound.value.tally } }
        }
        do {
            try await self.watch(gate, tell)
        } catch {
            for load in loads { load.whenSuccess { $0.value.abandon() } }
            throw error
        }
        var tally = Tally()
        for part in running { tally.add(try await part.get()) }
        return Outcome(
            result: self.result(tally, lane, round), dueMillicredits: tally.due, chargeable: tally.chargeable)
    }

    private func load(
        on loop: any EventLoop, _ index: Int, of count: Int, _ begin: NIODeadline, _ gate: LoadLoop.Gate
    ) -> EventLoopFuture<NIOLoopBound<LoadLoop>> {
        let plan = LoadPlan(
            self.scenario, requests: self.requests, expected: self.expected, target: self.target,
            credentials: self.credentials, pricer: self.pricer, part: index, of: count)
        let seed = self.seed &+ UInt64(index)
        return loop.submit {
            NIOLoopBound(LoadLoop(loop, plan: plan, start: begin, gate: gate, seed: seed), eventLoop: loop)
        }
    }

    private func watch(_ gate: LoadLoop.Gate, _ tell: (Moment) throws -> Void) async throws {
        while .now() < gate.opens {
            try tell(.warmingUp)
            try await Self.sleep(until: gate.opens)
        }
        try tell(.measuring)
        while case let now = NIODeadline.now(), now < gate.closes {
            try tell(.running(share: now.share(from: gate.opens, to: gate.closes)))
            try await Self.sleep(until: gate.closes)
        }
        try tell(.ending)
    }

    private static func sleep(until end: NIODeadline) async throws {
        let left = Duration.nanoseconds(max(0, (end - .now()).nanoseconds))
        try await Task.sleep(for: min(left, Self.step))
    }

    private func result(_ tally: Tally, _ lane: String, _ round: Int) -> RunResult {
        var result = RunResult(lane: lane, round: round, seconds: self.scenario.durationSeconds)
        result.started = tally.started
        result.succeeded = tally.succeeded
        result.completed = tally.completed
        result.errors = tally.errors
        result.otherErrors = tally.otherErrors
        result.unpriced = tally.unpriced
        result.statuses = tally.statuses
        result.chunks = tally.chunks
        result.receivedBytes = tally.receivedBytes
        result.firstByte = Quantiles(tally.firstByte)
        result.gap = Quantiles(tally.gap)
        result.total = Quantiles(tally.total)
        if !self.expected.isEmpty {
            result.fidelity = FidelityScore(compared: tally.compared, differing: tally.differing)
        }
        return result
    }
}

extension NIODeadline {
    fileprivate func share(from begin: NIODeadline, to end: NIODeadline) -> Double {
        Double((self - begin).nanoseconds) / Double(max(1, (end - begin).nanoseconds))
    }
}

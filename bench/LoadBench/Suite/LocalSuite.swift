import Foundation
import NIOPosix

/// Scenarios on a deployment of this machine, lane against lane: round by round every lane has its turn, so that what
/// disturbs the machine for a while disturbs all of them.
public struct LocalSuite: Sendable {
    public var setup: StackSetup
    public var lanes: [StackLane]
    /// That count; a warm-up of each lane goes before them.
    public var rounds: Int
    public var rateCard: String
    public var seed: UInt64
    /// Event loops of the load.
    public var threads: Int

    public init(
        setup: StackSetup, lanes: [StackLane], rounds: Int, rateCard: String, seed: UInt64, threads: Int = 1
    ) {
        self.setup = setup
        self.lanes = lanes
        self.rounds = rounds
        self.rateCard = rateCard
        self.seed = seed
        self.threads = threads
    }

    /// What goes on, for whoever waits.
    public enum Progress: Sendable {
        case step(String)
        /// A turn of a lane, with the share of it that is over.
        case turn(String, share: Double)
        case done(RunResult)
    }

    /// Credits of each account: more than a run spends.
    private static let creditsPerAccount: Int64 = 1_000_000

    /// Plays one scenario on a stack of its own.
    ///
    /// - Throws: `StackError`, `ReferenceRun.Failure`; a run that finds fault is no error, and neither is a program that does
    ///   not stop as it should: that is a finding.
    public func play(
        _ scenario: Scenario, yaml: String, tell: (Progress) -> Void
    ) async throws -> ScenarioResult {
        let stack = try BenchStack.start(self.setup(for: scenario)) { tell(.step($0)) }
        defer { stack.stop() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: self.threads)
        var result = ScenarioResult(name: scenario.name, summary: scenario.summary, yaml: yaml)
        result.memoryGrowthMax = scenario.memoryGrowthMax
        do {
            try await self.play(scenario, into: &result, on: stack, group, tell)
        } catch {
            try? await group.shutdownGracefully()
            // What was measured is told all the same.
            guard !result.runs.isEmpty else { throw error }
            result.findings.append("\(error)")
            return result
        }
        try await group.shutdownGracefully()
        result.findings += stack.stop().map(\.description)
        for lane in result.measuredLanes {
            guard let growth = result.memoryGrowth(lane: lane), !growth.isWithin else { continue }
            result.findings.append("\(lane): \(Verdict.memory(growth, lane: lane).text)")
        }
        return result
    }

    private func setup(for scenario: Scenario) -> StackSetup {
        var setup = self.setup
        setup.isStreaming = scenario.isStreamed
        setup.models = [scenario.model]
        setup.connectionsMax = max(setup.connectionsMax, scenario.arrivals.connectionsMax)
        setup.environment["BILLING_ON_DISCONNECT"] = scenario.onDisconnect.rawValue
        return setup
    }

    private func play(
        _ scenario: Scenario, into result: inout ScenarioResult, on stack: BenchStack,
        _ group: MultiThreadedEventLoopGroup, _ tell: (Progress) -> Void
    ) async throws {
        let lanes = self.lanes.filter { scenario.misbehaviour.shortOfMoney == 0 || $0 == .governed }
        for lane in self.lanes where !lanes.contains(lane) {
            tell(.step("left out: \(lane.rawValue) turns nobody away who is short of money"))
        }
        let turn = try await self.prepare(scenario, on: stack, group, tell)
        var books = try Books(stack, payers: turn.payers)
        for round in 0...self.rounds {
            for lane in lanes {
                result.runs.append(try await self.take(turn, lane, round, on: stack, &books, group, tell))
                try stack.checkRunning()
            }
        }
        guard lanes.contains(where: \.isOurs) else { return }
        for lane in lanes where lane.isOurs {
            try await self.awaitMemory(of: lane, in: &result, on: stack, tell)
        }
        // Last, since it takes long: all that was charged adds up, in every store and journal.
        tell(.step("tollgate verify"))
        let report = try stack.verify()
        for text in report.violations + report.warnings { tell(.step(text)) }
        result.findings += report.violations
        if let last = result.runs.lastIndex(where: { $0.lane == StackLane.governed.rawValue }) {
            result.runs[last].billing?.verifyFindings = report.violations.count
        }
    }

    /// Upstream connections that nobody uses close after half a minute, and what closed connections had goes back to the
    /// system behind that.
    private static let memorySecondsMax = 75

    /// Looks at the memory of a lane again until it is back within its bound, where it has one, or does not come back.
    private func awaitMemory(
        of lane: StackLane, in result: inout ScenarioResult, on stack: BenchStack, _ tell: (Progress) -> Void
    ) async throws {
        guard let run = result.runs.lastIndex(where: { $0.lane == lane.rawValue }),
            let use = result.runs[run].processes.firstIndex(where: { $0.name == "proxy" }),
            let proxy = try stack.startLane(lane).processes.first(where: { $0.name == "proxy" })
        else { return }
        for second in 0..<Self.memorySecondsMax {
            guard let growth = result.memoryGrowth(lane: lane.rawValue), !growth.isWithin else { return }
            if second == 0 { tell(.step("waiting for \(lane.rawValue) to give its memory back")) }
            try await Task.sleep(for: .seconds(1))
            result.runs[run].processes[use].isLeft(residentBytes: try proxy.residentBytes())
        }
    }

    /// What the accounts have. Read once behind each turn of ours, so that nothing falls between two turns.
    private struct Books {
        private let stack: BenchStack
        private let payers: [BenchAccount]
        private var balances: [Int64]

        /// - Parameter payers: new accounts, of whom nobody has spent yet.
        init(_ stack: BenchStack, payers: [BenchAccount]) throws(StackError) {
            self.stack = stack
            self.payers = payers
            self.balances = try stack.postedBalances(of: payers)
        }

        /// What was charged since the last call, when nothing is under way any more.
        mutating func charged() throws(StackError) -> Int64 {
            let before = self.balances
            self.balances = try self.stack.settledBalances(of: self.payers)
            return zip(before, self.balances).reduce(0) { $0 + $1.0 - $1.1 }
        }
    }

    // MARK: Before the first turn

    /// What all turns of a scenario share.
    private struct Turn {
        var scenario: Scenario
        var requests: RequestPlan
        var expected: [ExpectedReply]
        var credentials: Credentials
        /// The accounts that are charged.
        var payers: [BenchAccount]
    }

    private func prepare(
        _ scenario: Scenario, on stack: BenchStack, _ group: MultiThreadedEventLoopGroup,
        _ tell: (Progress) -> Void
    ) async throws -> Turn {
        let requests = RequestPlan(scenario, seed: self.seed, toldToMock: true)
        tell(.step("asking the mock what it answers"))
        let (credentials, payers) = try self.credentials(scenario, stack, tell)
        return Turn(
            scenario: scenario, requests: requests,
            expected: try await self.expected(scenario, requests, stack, group),
            credentials: credentials, payers: payers)
    }

    /// What the mock answers, and what it costs. Where the client does not ask for the usage, the same is asked once more
    /// with it.
    private func expected(
        _ scenario: Scenario, _ requests: RequestPlan, _ stack: BenchStack,
        _ group: MultiThreadedEventLoopGroup
    ) async throws -> [ExpectedReply] {
        let direct = try LoadTarget(stack.startLane(.direct))
        let pricer = try UsagePricer(rateCard: self.rateCard, model: scenario.model)
        let key = BaselineSettings.operatorKey
        var asking = scenario
        asking.asksForUsage = true
        let priced = try await ReferenceRun(
            RequestPlan(asking, seed: self.seed, toldToMock: true), target: direct, key: key, pricer: pricer
        ).expected(on: group)
        guard scenario.isStreamed, !scenario.asksForUsage else { return priced }
        var expected = try await ReferenceRun(requests, target: direct, key: key, pricer: nil).expected(
            on: group)
        for index in expected.indices { expected[index].dueMillicredits = priced[index].dueMillicredits }
        return expected
    }

    private func credentials(
        _ scenario: Scenario, _ stack: BenchStack, _ tell: (Progress) -> Void
    ) throws -> (Credentials, payers: [BenchAccount]) {
        guard self.lanes.contains(where: \.isOurs) else { return (Credentials(keys: []), []) }
        let rich = try stack.makeAccounts(
            count: scenario.accounts, credits: Self.creditsPerAccount, keysEach: scenario.keysPerAccount
        ) { tell(.turn("accounts", share: Double($0) / Double(scenario.accounts))) }
        let poor = try stack.makeAccounts(
            count: scenario.misbehaviour.shortOfMoney > 0 ? scenario.accounts : 0, credits: 0)
        return (
            Credentials(keys: rich.flatMap(\.keys), emptyKeys: poor.flatMap(\.keys)),
            // Who has nothing is not to be charged either.
            rich + poor
        )
    }

    // MARK: A turn

    /// The warm-up is no longer than that.
    private static let warmUpSecondsMax = 10.0

    private func take(
        _ turn: Turn, _ lane: StackLane, _ round: Int, on stack: BenchStack, _ books: inout Books,
        _ group: MultiThreadedEventLoopGroup, _ tell: (Progress) -> Void
    ) async throws -> RunResult {
        let target = try stack.startLane(lane)
        var watch = try ProcessWatch(target.processes)
        let name = "\(turn.scenario.name)  \(round == 0 ? "warm-up" : "round \(round)")  \(lane.rawValue)"
        let outcome = try await self.run(turn, lane, round, target).run(
            on: group, lane: lane.rawValue, round: round, name: name, watch: &watch, tell: tell)
        var result = outcome.result
        if lane.isOurs {
            let charged = try books.charged()
            let due = lane == .governed ? outcome.dueMillicredits : 0
            // What does not charge owes nothing, whatever it was.
            if lane == .plain { result.unpriced = 0 }
            if result.unpriced == 0 {
                result.billing = BillingScore(charged: charged, due: due, exchanges: outcome.chargeable)
            }
        } else {
            result.unpriced = 0
        }
        result.processes = try watch.settle()
        tell(.done(result))
        return result
    }

    private func run(_ turn: Turn, _ lane: StackLane, _ round: Int, _ target: LaneTarget) throws -> LoadRun {
        var scenario = turn.scenario
        if round == 0 { scenario.durationSeconds = min(scenario.durationSeconds, Self.warmUpSecondsMax) }
        return LoadRun(
            scenario: scenario, requests: turn.requests,
            // It writes replies anew, in its own order of members: there is nothing to compare.
            expected: lane == .litellm ? [] : turn.expected, target: try LoadTarget(target),
            credentials: lane.isOurs ? turn.credentials : Credentials(keys: [BaselineSettings.operatorKey]),
            seed: self.seed &+ UInt64(round))
    }
}

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
    /// - Throws: `StackError`, `ReferenceRun.Failure`; a run that finds fault is no error.
    public func play(
        _ scenario: Scenario, yaml: String, tell: (Progress) -> Void
    ) async throws -> ScenarioResult {
        let stack = try BenchStack.start(self.setup(for: scenario)) { tell(.step($0)) }
        defer { stack.stop() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: self.threads)
        let runs: [RunResult]
        do {
            runs = try await self.play(scenario, on: stack, group, tell)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
        if let failure = stack.stop().first { throw failure }
        return ScenarioResult(name: scenario.name, summary: scenario.summary, yaml: yaml, runs: runs)
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
        _ scenario: Scenario, on stack: BenchStack, _ group: MultiThreadedEventLoopGroup,
        _ tell: (Progress) -> Void
    ) async throws -> [RunResult] {
        let lanes = self.lanes.filter { scenario.misbehaviour.shortOfMoney == 0 || $0 == .governed }
        let turn = try await self.prepare(scenario, on: stack, group, tell)
        var runs: [RunResult] = []
        for round in 0...self.rounds {
            for lane in lanes {
                runs.append(try await self.take(turn, lane, round, on: stack, group, tell))
                try stack.checkRunning()
            }
        }
        // Last, since it takes long: all that was charged adds up, in every store and journal.
        if let last = runs.lastIndex(where: { $0.lane == StackLane.governed.rawValue }) {
            tell(.step("tollgate verify"))
            let report = try stack.verify()
            for violation in report.violations { tell(.step(violation)) }
            runs[last].billing?.verifyFindings = report.violations.count
        }
        return runs
    }

    // MARK: Before the first turn

    /// What all turns of a scenario share.
    private struct Turn {
        var scenario: Scenario
        var requests: RequestPlan
        var expected: [ExpectedReply]
        var credentials: Credentials
        /// A key of each account that is charged.
        var payers: [String]
    }

    private func prepare(
        _ scenario: Scenario, on stack: BenchStack, _ group: MultiThreadedEventLoopGroup,
        _ tell: (Progress) -> Void
    ) async throws -> Turn {
        let requests = RequestPlan(scenario, seed: self.seed, toldToMock: true)
        tell(.step("asking the mock what it answers"))
        let direct = try LoadTarget(stack.startLane(.direct))
        let pricer = try UsagePricer(rateCard: self.rateCard, model: scenario.model)
        let expected = try await ReferenceRun(
            requests, target: direct, key: BaselineSettings.operatorKey, pricer: pricer
        ).expected(on: group)
        let (credentials, payers) = try self.credentials(scenario, stack, tell)
        return Turn(
            scenario: scenario, requests: requests, expected: expected, credentials: credentials,
            payers: payers)
    }

    private func credentials(
        _ scenario: Scenario, _ stack: BenchStack, _ tell: (Progress) -> Void
    ) throws -> (Credentials, payers: [String]) {
        guard self.lanes.contains(where: \.isOurs) else { return (Credentials(keys: []), []) }
        let rich = try stack.makeAccounts(
            count: scenario.accounts, credits: Self.creditsPerAccount, keysEach: scenario.keysPerAccount
        ) { tell(.turn("accounts", share: Double($0) / Double(scenario.accounts))) }
        let poor = try stack.makeAccounts(
            count: scenario.misbehaviour.shortOfMoney > 0 ? scenario.accounts : 0, credits: 0)
        return (
            Credentials(keys: rich.flatMap(\.keys), emptyKeys: poor.flatMap(\.keys)),
            rich.compactMap(\.keys.first)
        )
    }

    // MARK: A turn

    private func take(
        _ turn: Turn, _ lane: StackLane, _ round: Int, on stack: BenchStack,
        _ group: MultiThreadedEventLoopGroup,
        _ tell: (Progress) -> Void
    ) async throws -> RunResult {
        let target = try stack.startLane(lane)
        let before = lane.isOurs ? try stack.balances(of: turn.payers) : []
        var watch = try ProcessWatch(target.processes)
        var failure: StackError?
        let name = "\(turn.scenario.name)  \(round == 0 ? "warm-up" : "round \(round)")  \(lane.rawValue)"
        let run = LoadRun(
            scenario: turn.scenario, requests: turn.requests, expected: turn.expected,
            target: try LoadTarget(target),
            credentials: lane.isOurs ? turn.credentials : Credentials(keys: [BaselineSettings.operatorKey]),
            seed: self.seed &+ UInt64(round))
        let outcome = try await run.run(on: group, lane: lane.rawValue, round: round) { moment in
            do throws(StackError) {
                switch moment {
                case .warmingUp: tell(.turn(name, share: 0))
                case .measuring: try watch.begin()
                case .running(let share):
                    watch.sample()
                    tell(.turn(name, share: share))
                case .ending: try watch.finish()
                }
            } catch { failure = error }
        }
        if let failure { throw failure }
        var result = outcome.result
        if lane.isOurs, turn.scenario.isExactlyChargeable {
            let charged = zip(before, try stack.balances(of: turn.payers)).reduce(0) { $0 + $1.0 - $1.1 }
            result.billing = BillingScore(
                charged: charged, due: lane == .governed ? outcome.dueMillicredits : 0,
                exchanges: outcome.chargeable)
        }
        result.processes = try watch.settle()
        tell(.done(result))
        return result
    }
}

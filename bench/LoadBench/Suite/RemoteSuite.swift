import NIOCore

/// Scenarios against a deployment that is there.
public struct RemoteSuite: Sendable {
    public var target: LoadTarget
    public var credentials: Credentials
    /// The upstream itself: replies are held against what it answers there. nil: they are not compared.
    public var reference: (target: LoadTarget, key: String)?
    /// The upstream is the mock, and is told how to answer.
    public var isMock: Bool
    /// nil: the books are not looked at.
    public var rateCard: String?
    public var rounds: Int
    public var seed: UInt64

    public init(
        target: LoadTarget, credentials: Credentials, reference: (target: LoadTarget, key: String)?,
        isMock: Bool,
        rateCard: String?, rounds: Int, seed: UInt64
    ) {
        self.target = target
        self.credentials = credentials
        self.reference = reference
        self.isMock = isMock
        self.rateCard = rateCard
        self.rounds = rounds
        self.seed = seed
    }

    /// How the lane is called in reports.
    public static let lane = "target"
    private static let settlingSeconds = 120.0

    public func play(
        _ scenario: Scenario, yaml: String, on group: any EventLoopGroup, tell: (LocalSuite.Progress) -> Void
    ) async throws -> ScenarioResult {
        let requests = RequestPlan(scenario, seed: self.seed, toldToMock: self.isMock)
        let pricer = try self.rateCard.map { card throws(ScenarioError) in
            try UsagePricer(rateCard: card, model: scenario.model)
        }
        var expected: [ExpectedReply] = []
        if let (target, key) = self.reference {
            tell(.step("asking the upstream what it answers"))
            expected = try await ReferenceRun(requests, target: target, key: key, pricer: pricer).expected(
                on: group)
        }
        let books =
            pricer == nil
            ? nil : RemoteBooks(self.target, keys: self.credentials.keys + self.credentials.emptyKeys)
        var result = ScenarioResult(name: scenario.name, summary: scenario.summary, yaml: yaml)
        for round in 1...self.rounds {
            let run = LoadRun(
                scenario: scenario, requests: requests, expected: expected, target: self.target,
                credentials: self.credentials, pricer: pricer, seed: self.seed &+ UInt64(round))
            do { result.runs.append(try await self.take(run, round, books, on: group, tell)) } catch {
                guard !result.runs.isEmpty else { throw error }
                result.findings.append("\(error)")
                break
            }
        }
        return result
    }

    private func take(
        _ run: LoadRun, _ round: Int, _ books: RemoteBooks?, on group: any EventLoopGroup,
        _ tell: (LocalSuite.Progress) -> Void
    ) async throws -> RunResult {
        let before = try await books?.settled(within: Self.settlingSeconds, on: group)
        var watch = try ProcessWatch([.bench])
        let outcome = try await run.run(
            on: group, lane: Self.lane, round: round, name: "\(run.scenario.name)  round \(round)",
            watch: &watch,
            tell: tell)
        var result = outcome.result
        if let books, let before {
            let after = try await books.settled(within: Self.settlingSeconds, on: group)
            if result.unpriced == 0 {
                result.billing = BillingScore(
                    charged: before - after, due: outcome.dueMillicredits, exchanges: outcome.chargeable)
            }
        } else {
            result.unpriced = 0
        }
        result.processes = try watch.settle()
        tell(.done(result))
        return result
    }
}

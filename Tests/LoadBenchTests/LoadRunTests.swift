import MockOpenAI
import NIOPosix
import Testing

@testable import LoadBench

/// The load that a scenario describes, against the mock itself.
@Suite(.serialized) struct LoadRunTests {
    /// One loop, so that rates and limits are of one.
    private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private static let rateCard =
        "markup: \"2\"\nmodels: {gpt-4o-mini: {cost: {input: \"0.15\", output: \"0.6\"}}}"

    private func run(
        _ yaml: String, mock settings: (inout MockOpenAIServer.Configuration) -> Void = { _ in },
        expects: Bool = true, warmUp: Double = 0.2,
        keys: Credentials = Credentials(keys: ["sk"], emptyKeys: ["poor"])
    ) async throws -> LoadRun.Outcome {
        let group = Self.group
        var configuration = MockOpenAIServer.Configuration()
        settings(&configuration)
        let mock = try await MockOpenAIServer.start(configuration, on: group)
        let scenario = try Scenario(yaml: "name: x\nwarm_up_seconds: \(warmUp)\nduration_seconds: 1\n" + yaml)
        let requests = RequestPlan(scenario, seed: 1, toldToMock: true)
        let target = LoadTarget(host: "127.0.0.1", port: mock.port)
        let pricer = try UsagePricer(rateCard: Self.rateCard, model: scenario.model)
        let expected =
            expects
            ? try await ReferenceRun(requests, target: target, key: "sk", pricer: pricer).expected(on: group)
            : []
        let run = LoadRun(
            scenario: scenario, requests: requests, expected: expected, target: target, credentials: keys,
            pricer: expects ? nil : pricer, seed: 7)
        let outcome = try await run.run(on: group, lane: "direct", round: 1) { _ in }
        try await mock.shutdown()
        return outcome
    }

    @Test func aClosedLoopComparesEveryReply() async throws {
        let outcome = try await self.run("connections: 8")
        let result = outcome.result
        #expect(result.succeeded > 5 && result.started == result.succeeded && result.errors.isEmpty)
        #expect(result.statuses == [200: result.succeeded])
        let fidelity = try #require(result.fidelity)
        #expect(
            fidelity.compared == outcome.chargeable && fidelity.compared >= result.succeeded
                && fidelity.isExact)
        #expect(outcome.dueMillicredits > 0 && result.total.count == result.succeeded)
        #expect(
            result.total.p50 > 0 && result.total.p50 <= result.total.p99
                && result.total.p99 <= result.total.max)
    }

    @Test func anOpenLoopKeepsItsRate() async throws {
        let result = try await self.run("rate: 200\narrivals: steady").result
        #expect((199...200).contains(result.started) && result.succeeded + result.failed == result.started)
    }

    /// A reply that takes a second on the only connection delays all that are due behind it, and every one of them says so.
    @Test func timesOfAnOpenLoopAreFromWhenARequestWasDue() async throws {
        let result = try await self.run(
            "rate: 40\narrivals: steady\nconnections_max: 1\nfirst_token_ms: 80", warmUp: 0
        ).result
        #expect((39...40).contains(result.started))
        #expect(result.total.max > 150_000, "the last ones waited for those before")
        #expect(result.errors.isEmpty && result.succeeded == result.started)
    }

    @Test func streamsAreCountedChunkByChunk() async throws {
        let result = try await self.run(
            "stream: true\nconnections: 4\nreply_tokens: 10\ntokens_per_second: 100"
        ).result
        #expect(result.errors.isEmpty)
        #expect(result.chunks > 20 && result.gap.count > 10)
        #expect(result.gap.p50 >= 5_000)
    }

    @Test func whoHangsUpHasItsShareAndIsNoFailure() async throws {
        let outcome = try await self.run(
            "stream: true\nconnections: 8\nclients: {disconnecting: 0.9}\non_disconnect: drain\ntokens_per_second: 500"
        )
        let result = outcome.result
        let fidelity = try #require(result.fidelity)
        #expect(result.errors.isEmpty && result.succeeded > 4)
        // Those that left were not compared, and the mock did not say that it goes on without them: nobody knows their cost.
        #expect(fidelity.compared == outcome.chargeable && result.total.count < result.succeeded)
    }

    @Test func aRefusalIsWhatSomebodyWithoutMoneyGets() async throws {
        let refused = try await self.run("connections: 4\nclients: {short_of_money: 1}") {
            $0.behaviour.tokens = 1
        }
        // The mock gives it to everybody.
        #expect(refused.result.succeeded == 0)
        #expect(refused.result.errors.keys.allSatisfy { $0 == "status 200 where a 402 was due" })
        #expect(refused.dueMillicredits == 0)
    }

    @Test func aReplyThatIsNotTheUpstreamsIsFound() async throws {
        // Each has an id of its own where they are not told to be the same: a relay that changes a byte looks like that.
        let scenario = "connections: 4"
        let outcome = try await self.run(scenario) { $0.seed = 3 }
        #expect(outcome.result.fidelity?.isExact == true)
        let group = Self.group
        let mock = try await MockOpenAIServer.start(.init(), on: group)
        let parsed = try Scenario(yaml: "name: x\nwarm_up_seconds: 0\nduration_seconds: 0.3\n" + scenario)
        let requests = RequestPlan(parsed, seed: 1, toldToMock: true)
        let wrong = requests.templates.map { _ in
            ExpectedReply(digest: 1, bodyBytes: 1, dueMillicredits: 1)
        }
        let run = LoadRun(
            scenario: parsed, requests: requests, expected: wrong,
            target: .init(host: "127.0.0.1", port: mock.port),
            credentials: Credentials(keys: ["sk"]), seed: 7)
        let result = try await run.run(on: group, lane: "direct", round: 1) { _ in }.result
        try await mock.shutdown()
        #expect(result.errors.keys.elementsEqual(["differs"]) && result.succeeded == 0)
        #expect(result.fidelity?.differing == result.fidelity?.compared)
    }

    @Test func withoutAReferenceTheUsageOfEachReplyIsPriced() async throws {
        let outcome = try await self.run("connections: 2\nstream: true", expects: false)
        #expect(outcome.result.errors.isEmpty && outcome.result.fidelity == nil)
        #expect(outcome.chargeable >= outcome.result.succeeded && outcome.dueMillicredits > 0)
    }

    /// A proxy died: the loops are not waited for, and their end is nobody's loss.
    @Test func anErrorOfTheWatcherEndsTheRun() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let mock = try await MockOpenAIServer.start(MockOpenAIServer.Configuration(), on: Self.group)
        let scenario = try Scenario(
            yaml: "name: x\nwarm_up_seconds: 0.1\nduration_seconds: 600\nconnections: 4")
        let run = LoadRun(
            scenario: scenario, requests: RequestPlan(scenario, seed: 1, toldToMock: true), expected: [],
            target: LoadTarget(host: "127.0.0.1", port: mock.port), credentials: Credentials(keys: ["sk"]),
            seed: 7)
        let gone = StackError.gone(process: "proxy", pid: 1)
        await #expect(throws: gone) {
            _ = try await run.run(on: group, lane: "direct", round: 1) { moment in
                if case .running = moment { throw gone }
            }
        }
        try await group.shutdownGracefully()
        try await mock.shutdown()
    }

    @Test func nobodyThereIsAnErrorAndNoHang() async throws {
        let scenario = try Scenario(
            yaml: "name: x\nconnections: 4\nwarm_up_seconds: 0\nduration_seconds: 0.5")
        let run = LoadRun(
            scenario: scenario, requests: RequestPlan(scenario, seed: 1, toldToMock: true), expected: [],
            target: .init(host: "127.0.0.1", port: 1), credentials: Credentials(keys: ["sk"]), seed: 1)
        let result = try await run.run(on: Self.group, lane: "x", round: 1) { _ in
        }.result
        #expect(result.succeeded == 0 && result.errors.keys.elementsEqual(["connect: Connection refused"]))
    }

    @Test(arguments: [1, 2, 3, 7])
    func thePartsOfTheLoopsAreTheWholeLoad(_ count: Int) {
        let parts = (0..<count).map { Scenario.Arrivals.connections(64).part($0, of: count) }
        let sum = parts.reduce(0) { if case .connections(let some) = $1 { $0 + some } else { $0 } }
        #expect(sum == 64)
    }
}

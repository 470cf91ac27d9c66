import Foundation
import Testing

@testable import LoadBench

@Suite struct ScenarioTests {
    private static let directory = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "bench/scenarios")

    @Test func everyScenarioThatShipsCanBeRun() throws {
        let files = try FileManager.default.contentsOfDirectory(
            at: Self.directory, includingPropertiesForKeys: nil
        )
        .filter { $0.pathExtension == "yaml" }
        var names: Set<String> = []
        for file in files {
            let scenario = try Scenario(yaml: String(contentsOf: file, encoding: .utf8))
            #expect(scenario.name + ".yaml" == file.lastPathComponent && !scenario.summary.isEmpty)
            #expect(scenario.isExactlyChargeable)
            names.insert(scenario.name)
        }
        #expect(
            names.isSuperset(of: [
                "chat-small", "chat-stream", "chat-10k-prompt", "many-streams", "hot-account",
                "many-accounts", "402-storm",
                "disconnects", "soak",
            ]))
    }

    @Test func everyFieldIsRead() throws {
        let scenario = try Scenario(
            yaml: """
                name: all
                summary: of everything
                endpoint: responses
                model: gpt-4.1
                stream: true
                include_usage: false
                prompt_bytes: {uniform: [10, 20]}
                reply_tokens: {median: 5, p99: 9, max: 12}
                first_token_ms: 7
                tokens_per_second: 2.5
                accounts: 3
                keys_per_account: 2
                rate: 12.5
                arrivals: steady
                connections_max: 9
                clients: {disconnecting: 0.1, slow: 0.2, short_of_money: 0.3}
                on_disconnect: drain
                warm_up_seconds: 0.5
                duration_seconds: 2
                timeout_seconds: 3
                memory_growth_mb: 1.5
                """)
        #expect(scenario.endpoint == .responses && scenario.model == "gpt-4.1" && scenario.isStreamed)
        #expect(!scenario.asksForUsage && scenario.promptBytes == .uniform(10, 20))
        #expect(scenario.replyTokens == .lognormal(median: 5, p99: 9, max: 12))
        #expect(scenario.firstTokenMilliseconds == 7 && scenario.tokensPerSecond == 2.5)
        #expect(scenario.accounts == 3 && scenario.keysPerAccount == 2)
        #expect(scenario.arrivals == .rate(perSecond: 12.5, pattern: .steady, connectionsMax: 9))
        let shares = scenario.misbehaviour
        #expect(shares.disconnecting == 0.1 && shares.slow == 0.2 && shares.shortOfMoney == 0.3)
        #expect(scenario.onDisconnect == .drain && scenario.warmUpSeconds == 0.5)
        #expect(scenario.durationSeconds == 2 && scenario.timeoutSeconds == 3)
        #expect(scenario.memoryGrowthMax == 1_500_000)
    }

    @Test(arguments: [
        ("summary: x", "name"), ("name: x\nconnections: 0", "connections"), ("name: x", "connections"),
        ("name: x\nconnections: 1\nrate: 2", "connections"),
        ("name: x\nconnections: 1\nconnections_max: 2", "connections_max"),
        ("name: x\nconnections: 1\narrivals: steady", "arrivals"),
        ("name: x\nconnections: 1\nprompt_bytes: {uniform: [10, abc, 80]}", "prompt_bytes.uniform"),
        ("name: x\nconnections: 1\nspeed: 2", "speed"), ("name: x\nconnections: 1\nstream: maybe", "stream"),
        ("name: x\nconnections: 1\nmodel: []", "model"),
        ("name: x\nconnections: 1\nendpoint: images", "endpoint"),
        ("name: x\nconnections: 1\nprompt_bytes: {uniform: [5, 2]}", "prompt_bytes.uniform"),
        ("name: x\nconnections: 1\nprompt_bytes: {median: 5}", "prompt_bytes"),
        ("name: x\nconnections: 1\nreply_tokens: {median: 5, p99: 4}", "reply_tokens"),
        ("name: x\nconnections: 1\nclients: {slow: 0.6, short_of_money: 0.6}", "clients"),
        ("name: x\nconnections: 1\nclients: {rude: 0.6}", "clients.rude"),
        ("name: x\nconnections: 1\nclients: {disconnecting: 0.6}", "clients.disconnecting"),
        ("name: x\nconnections: 1\nendpoint: embeddings\nstream: true", "stream"),
        ("name: x\nrate: 1\nduration_seconds: nan", "duration_seconds"), ("[]", ""), ("", ""), ("a: [", ""),
    ])
    func aMistakeNamesItsField(_ yaml: String, _ field: String) throws {
        let error = try #require(throws: ScenarioError.self) { _ = try Scenario(yaml: yaml) }
        #expect(error.field == field && !error.problem.isEmpty, "\(error)")
    }

    /// Percentiles are what the file says.
    @Test func sizesAreDistributedAsTheyAreSaidToBe() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let shape = Distribution.lognormal(median: 400, p99: 8000, max: 40_000)
        let sizes = (0..<50_000).map { _ in shape.sample(&random) }.sorted()
        #expect((360...440).contains(sizes[25_000]), "seed \(seed)")
        #expect((6500...9800).contains(sizes[49_500]), "seed \(seed)")
        #expect(sizes[0] >= 1 && sizes[49_999] <= 40_000, "seed \(seed)")
        let uniform = Set((0..<2000).map { _ in Distribution.uniform(3, 6).sample(&random) })
        #expect(uniform == [3, 4, 5, 6], "seed \(seed)")
    }

    @Test func theSameSeedMakesTheSameRequests() throws {
        let scenario = try Scenario(
            yaml: "name: x\nconnections: 1\nprompt_bytes: {uniform: [100, 900]}\nstream: true")
        let (one, other) = (
            RequestPlan(scenario, seed: 1, toldToMock: true), RequestPlan(scenario, seed: 1, toldToMock: true)
        )
        #expect(one.templates == other.templates)
        #expect(one.templates != RequestPlan(scenario, seed: 2, toldToMock: true).templates)
        for template in one.templates {
            let body = try #require(
                try JSONSerialization.jsonObject(with: Data(template.body)) as? [String: Any])
            let messages = try #require(body["messages"] as? [[String: String]])
            #expect((100...900).contains(try #require(messages.last?["content"]).utf8.count))
            #expect(body["stream"] as? Bool == true && body["max_tokens"] as? Int == template.replyTokens)
        }
    }
}

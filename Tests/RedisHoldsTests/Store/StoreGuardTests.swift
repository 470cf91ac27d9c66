import LedgerSim
import Metering
import Testing

@testable import RedisHolds

/// Every guard of the scripts, taken out of the Lua one at a time.
@Suite struct StoreGuardTests {
    private struct Run: Equatable {
        var answers: [StoreAnswer]
        var fields: [String: String]
    }

    /// Without its guard a script does on Redis what the model without that guard does, and something else than with
    /// it: so this fails when a guard is lost, in the Lua or in the model.
    @Test(arguments: StoreGuard.allCases)
    func takingOneGuardOutOfTheScriptsIsSeen(_ rule: StoreGuard) async throws {
        let client = try await ScriptClient()
        let maker = StepMaker()
        let scenario = rule.scenario(maker)
        let guarded = Self.model(scenario.steps, maker, without: [])
        let unguarded = Self.model(scenario.steps, maker, without: [rule])
        #expect(guarded != unguarded, "the scenario does not need the guard")

        #expect(try await Self.redis(scenario.steps, maker, ClockedScripts(client)) == guarded)
        _ = try await client.command("DEL", "a:{\(maker.account)}")
        let mutated = try await ClockedScripts(client, without: scenario.cut)
        #expect(try await Self.redis(scenario.steps, maker, mutated) == unguarded)
        await client.close()
    }

    private static func model(_ steps: [StoreStep], _ maker: StepMaker, without rules: Set<StoreGuard>) -> Run
    {
        var node = StoreNode(name: "m")
        node.guards.subtract(rules)
        let answers = steps.map { $0.run(on: &node) }
        return Run(answers: answers, fields: node.accounts[maker.account]?.fields ?? [:])
    }

    private static func redis(
        _ steps: [StoreStep], _ maker: StepMaker, _ scripts: ClockedScripts
    ) async throws -> Run {
        let answers = try await scripts.run(steps)
        return Run(answers: answers, fields: try await scripts.hashes([maker.account])[0])
    }
}

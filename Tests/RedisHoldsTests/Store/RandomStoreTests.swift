import Glibc
import LedgerSim
import Metering
import MoneyPath
import Testing

@testable import RedisHolds

/// Over 100,000 commands, duplicated and out of order, on Redis and on the model: every reply, and every field of
/// every account, are the same. `TOLLGATE_STORE_SEED` repeats a run.
@Suite struct RandomStoreTests {
    private static let accounts = 20
    private static let batches = 110
    private static let perBatch = 1000

    @Test func everySequenceDoesOnRedisWhatItDoesInTheModel() async throws {
        let seed = storeSeed()
        print("RandomStoreTests seed \(seed)")
        let client = try await ScriptClient()
        let scripts = try await ClockedScripts(client)
        var source = StepSource(accounts: (0..<Self.accounts).map { _ in freshAccount() }, seed: seed)
        var seen: [String: Int] = [:]
        for batch in 0..<Self.batches {
            let (steps, expected) = source.batch(of: Self.perBatch)
            if let (step, laws) = source.broken.first {
                Issue.record("seed \(seed), batch \(batch): \(laws) broken by \(step)")
                return
            }
            let answers = try await scripts.run(steps)
            for (index, answer) in answers.enumerated() {
                seen["\(steps[index].name) \(answer.code ?? 9)", default: 0] += 1
                guard answer == expected[index] else {
                    Issue.record(
                        """
                        seed \(seed), batch \(batch), command \(index): \(steps[index])
                        Redis \(answer), model \(expected[index])
                        """)
                    return
                }
            }
            let hashes = try await scripts.hashes(source.accounts)
            for (account, hash) in zip(source.accounts, hashes) {
                let model = source.node.accounts[account]?.fields ?? [:]
                guard model == hash else {
                    let names = Set(model.keys).union(hash.keys).filter { model[$0] != hash[$0] }.sorted()
                    let differences = names.map {
                        "\($0): Redis \(hash[$0] ?? "-"), model \(model[$0] ?? "-")"
                    }
                    Issue.record("seed \(seed), batch \(batch), account \(account): \(differences)")
                    return
                }
            }
        }
        let missing = Self.mustBeSeen.filter { seen[$0] == nil }
        #expect(missing == [], "seed \(seed)")
        await client.close()
    }

    /// A run that never met one of these proved less than it says. (LOAD's answer has no code.)
    private static let mustBeSeen = [
        "PLACE": [0, 1, 2, -1, -2, -3, -4, -5, -6], "CAPTURE": [0, 1, 2, 3, -5], "RELEASE": [0, 1, 2, 3, -5],
        "EXTEND": [0, 1, 2, 3, -1, -2, -3, -4, -5], "REASSERT": [0, 1, -5], "POSTED": [0, 1, 2],
        "GATE": [0, 1], "LOAD": [9], "INIT": [0, -1], "REAP": [0, 1], "EVICT": [0, 1],
    ].flatMap { name, codes in codes.map { "\(name) \($0)" } }
}

/// A new one, or the one that failed.
func storeSeed() -> UInt64 {
    getenv("TOLLGATE_STORE_SEED").flatMap { UInt64(String(cString: $0)) } ?? .random(in: 0 ... .max)
}

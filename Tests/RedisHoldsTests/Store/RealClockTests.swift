import LedgerSim
import Metering
import MoneyPath
import Testing

@testable import RedisHolds

/// The scripts exactly as they are shipped, on Redis' own clock.
@Suite struct RealClockTests {
    private static let batches = 20
    private static let perBatch = 500

    /// As `RandomStoreTests`, but for what only says when something was done.
    @Test func theShippedScriptsDoWhatTheModelDoes() async throws {
        let seed = storeSeed()
        print("RealClockTests seed \(seed)")
        let client = try await ScriptClient()
        let scripts = try await ClockedScripts(client)
        let accounts = (0..<6).map { _ in freshAccount() }
        var source = StepSource(accounts: accounts, seed: seed, clock: .real)
        let day = try await Self.now(client) / 86_400_000
        for batch in 0..<Self.batches {
            source.set(now: try await Self.now(client))
            let (steps, expected) = source.batch(of: Self.perBatch)
            let answers = try await client.run(
                steps.map { ($0.wording.script, $0.account, $0.wording.arguments) })
            let hashes = try await scripts.hashes(accounts)
            // Midnight clears the daily sums somewhere within a batch.
            guard try await Self.now(client) / 86_400_000 == day else { break }
            for (index, answer) in answers.enumerated() {
                let answer = StoreAnswer(answer, to: steps[index]).withoutTime
                guard answer == expected[index].withoutTime else {
                    Issue.record(
                        """
                        seed \(seed), batch \(batch), command \(index): \(steps[index])
                        Redis \(answer), model \(expected[index])
                        """)
                    return
                }
            }
            for (account, hash) in zip(accounts, hashes) {
                let model = source.node.accounts[account]?.fields ?? [:]
                #expect(
                    Self.withoutTime(model) == Self.withoutTime(hash),
                    "seed \(seed), batch \(batch), account \(account)")
            }
        }
        await client.close()
    }

    /// Deadlines, `t` and fences are stamped with the time at which the script runs.
    @Test func stampsAreRedisTime() async throws {
        let client = try await ScriptClient()
        let maker = StepMaker()
        let before = try await Self.now(client)
        let steps =
            maker.warm() + [
                maker.place(1, 10), maker.reassert(2, 10), maker.release(3).from(2, raise: true),
                maker.touch(1, 10).from(2).leased(5000),
            ]
        _ = try await client.run(steps.map { ($0.wording.script, $0.account, $0.wording.arguments) })
        let hash = try await client.hash(maker.account)
        let after = try await Self.now(client)
        let touched = try #require(hash["h:\(maker.hold(1))"]).split(separator: "|").map(String.init)
        let reasserted = try #require(hash["h:\(maker.hold(2))"]).split(separator: "|").map(String.init)
        let milliseconds = before...after
        #expect(milliseconds.contains(try #require(Int64(touched[1])) - 5000))
        #expect(milliseconds.contains(try #require(Int64(touched[3]))))
        #expect(milliseconds.contains(try #require(Int64(reasserted[1])) - 30_000))
        let seconds = before / 1000...after / 1000
        #expect(seconds.contains(try #require(hash["t"].flatMap { Int64($0) })))
        let fence = try #require(hash["g:A.0"]).split(separator: "|")
        #expect(seconds.contains(try #require(Int64(fence[1]))))
        await client.close()
    }

    private static func now(_ client: ScriptClient) async throws -> Int64 {
        guard case .texts(let time) = try await client.command("TIME"), time.count == 2,
            let seconds = Int64(time[0]), let microseconds = Int64(time[1])
        else { throw NeverCame(what: "TIME") }
        return seconds * 1000 + microseconds / 1000
    }

    private static func withoutTime(_ fields: [String: String]) -> [String: String] {
        var timeless: [String: String] = [:]
        for (name, value) in fields {
            var parts = value.split(separator: "|", omittingEmptySubsequences: false)
            if name.hasPrefix("h:") {
                (parts[1], parts[3]) = ("", "")
            } else if name.hasPrefix("g:") {
                parts[1] = ""
            } else if name == "t" || name == "mi" || name == "di" || name.hasPrefix("m") {
                continue
            }
            timeless[name] = parts.joined(separator: "|")
        }
        return timeless
    }
}

extension StoreAnswer {
    fileprivate var withoutTime: StoreAnswer {
        switch self {
        case .reply(.numbers(let numbers)) where numbers[0] == -4:
            return .reply(.numbers(HoldNumbers(-4, numbers[1])))
        case .reaped(.taken(var hold)):
            hold.placed = 0
            return .reaped(.taken(hold))
        default: return self
        }
    }
}

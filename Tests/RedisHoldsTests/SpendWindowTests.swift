import Metering
import Testing

@testable import RedisHolds

/// A12: the ring of minutes, with a clock of its own.
@Suite struct SpendWindowTests {
    @Test func windowsAreExactWheneverTimePasses() async throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("SpendWindowTests seed \(seed)")
        var random = SplitMix(state: seed)
        let client = try await ScriptClient()
        // The library as it is, only the time comes from the test.
        let body = """
            now = function() return tonumber(ARGV[1]) end
            roll(now())
            spend(ARGV[2])
            return redis.call('HMGET', k, 'M', 'D')
            """
        let source =
            HoldScript.library.replacing("local function now()", with: "local now = nil\nnow = function()")
            + body
        guard case .text(let digest) = try await client.command("SCRIPT", "LOAD", source) else {
            Issue.record("the library does not load")
            return
        }
        for _ in 0..<8 {
            let account = freshAccount()
            var events: [(time: Int64, amount: Int64)] = []
            var time: Int64 = 1_700_000_000_000
            for _ in 0..<250 {
                if Bool.random(using: &random) {
                    let steps: [Int64] = [
                        0, 10, 1000, 30_000, 60_000, 600_000, 3_600_000, 7_200_000, 90_000_000,
                    ]
                    time += steps.randomElement(using: &random)!
                } else {
                    time += Int64.random(in: 0..<5000, using: &random)
                }
                events.append((time, Int64.random(in: 0..<100, using: &random)))
                let answer = try await client.command(
                    "EVALSHA", digest, "1", "a:{\(account)}", "\(time)", "\(events.last!.amount)")
                let minute = time / 60_000
                let hour = events.filter { minute - 60 <= $0.time / 60_000 }.reduce(0) { $0 + $1.amount }
                let day = events.filter { $0.time / 86_400_000 == time / 86_400_000 }.reduce(0) {
                    $0 + $1.amount
                }
                #expect(answer == .texts(["\(hour)", "\(day)"]), "seed \(seed)")
                let (then, spent) = try await Self.later(account, time, events, client, &random)
                #expect(spent == then, "seed \(seed)")
            }
        }
        await client.close()
    }

    /// What a reader makes of windows that nobody has moved on since: (what was spent, what it says).
    private static func later(
        _ account: AccountID, _ time: Int64, _ events: [(time: Int64, amount: Int64)],
        _ client: ScriptClient, _ random: inout SplitMix
    ) async throws -> ([Int64], [Int64]) {
        let now =
            time + [0, 59_000, 60_000, 3_000_000, 3_660_000, 3_720_000, 90_000_000].randomElement(
                using: &random)!
        let hour = events.filter { now / 60_000 - 60 <= $0.time / 60_000 }
        let day = events.filter { now / 86_400_000 == $0.time / 86_400_000 }
        let spent = try #require(try await client.audit(account).spent(at: now))
        return (
            [hour, day].map { $0.reduce(0) { $0 + $1.amount } }, [spent.hour, spent.day]
        )
    }

    @Test func anAccountThatIsNotLoadedSaysNothing() async throws {
        let client = try await ScriptClient()
        #expect(try await client.audit(freshAccount()).spent(at: 1) == nil)
        await client.close()
    }
}

import LedgerSim
import Metering
import MoneyPath
import Testing

@testable import RedisHolds

/// Limits of requests, tokens and streams in PLACE. What the model does here, Redis does (`RandomStoreTests`,
/// `StoreGuardTests`); the first ones say it of Redis itself.
@Suite struct RequestLimitTests {
    private let maker = StepMaker()

    private func buckets(_ scripts: ClockedScripts) async throws -> [String: String] {
        try await scripts.hashes([self.maker.account])[0].filter { $0.key.hasPrefix("l:") }
    }

    /// All or nothing: whatever refuses a PLACE, no limit has less room than before.
    @Test func aRefusedPlaceTakesNothingOfAnyLimit() async throws {
        let client = try await ScriptClient()
        let scripts = try await ClockedScripts(client)
        let a = self.maker
        let wide = RequestLimits(requestsPerMinute: 50, tokensPerMinute: 500)
        let limits = PlaceLimits(
            keyID: 7, key: wide, account: RequestLimits(requestsPerMinute: 60, tokensPerMinute: 100),
            tokens: 60)
        _ = try await scripts.run(a.warm() + [a.place(1, 10, limits: limits)])
        let before = try await self.buckets(scripts)
        #expect(Set(before.keys) == ["l:r", "l:t", "l:r:7", "l:t:7"])
        var few = limits
        few.tokens = 1
        var never = limits
        never.tokens = 501
        let refused: [(StoreStep, Int64)] = [
            (a.place(2, 10, limits: limits), -6), (a.place(2, 10, limits: never), -6),
            (a.place(2, 5000, limits: few), -2),
            (a.place(2, 50, caps: SpendCaps(request: Millicredits(9)), limits: few), -4),
            (a.place(2, 10, limits: few).under("E2"), -1),
            (a.place(1, 10, limits: few), 1),
        ]
        for (step, code) in refused {
            #expect(try await scripts.run([step])[0].code == code)
            #expect(try await self.buckets(scripts) == before, "answer \(code)")
        }
        _ = try await scripts.run([a.gate(2, blocked: true)])
        #expect(try await scripts.run([a.place(2, 10, limits: few)])[0].code == -3)
        #expect(try await self.buckets(scripts) == before)
        await client.close()
    }

    /// A waived exchange holds nothing, and is limited all the same (CONTRACT §3, charging off).
    @Test func aHoldOfNothingIsLimited() async throws {
        let client = try await ScriptClient()
        let scripts = try await ClockedScripts(client)
        let a = self.maker
        let limits = PlaceLimits(
            keyID: 7, key: RequestLimits(requestsPerMinute: 1), account: .none, tokens: 0)
        let answers = try await scripts.run(
            a.warm { $0.balance = 0 } + [a.place(1, 0, limits: limits), a.place(2, 0, limits: limits)])
        #expect(answers.suffix(2).map(\.code) == [0, -6])
        await client.close()
    }

    /// What ends a hold, or takes it from its dead owner, frees its stream.
    @Test func everyEndOfAHoldFreesItsStream() async throws {
        let client = try await ScriptClient()
        let scripts = try await ClockedScripts(client)
        let a = self.maker
        let one = RequestLimits(streams: 1)
        _ = try await scripts.run(a.warm() + [a.place(1, of: one)])
        let ends: [(UInt64, StoreStep)] = [
            (1, a.capture(1, 5)), (2, a.release(2)), (3, a.posted(2, 900, (3, 5))), (4, a.reap(4)),
        ]
        for (number, end) in ends {
            let late = Int64(number) * 60_000
            let next = a.place(number + 1, of: one)
            let full = try await scripts.run([next.at(late)])[0]
            #expect(full == .reply(.numbers(HoldNumbers(-6, 5, 1000, 0, 0))), "hold \(number) is open")
            _ = try await scripts.run([end.at(late)])
            #expect(try await scripts.run([next.at(late)])[0].code == 0, "hold \(number) ended")
        }
        // What Redis lost comes back with its key.
        let named = PlaceLimits(keyID: 7, key: one, account: .none, tokens: 0)
        _ = try await scripts.run([a.release(5).at(300_000), a.reassert(6, 10, limits: named).at(300_000)])
        #expect(try await scripts.run([a.place(7, of: one).at(300_000)])[0].code == -6)
        await client.close()
    }

    /// `retry-after` is worth its name: a millisecond sooner the request does not fit, and then it does.
    @Test func theWaitThatIsToldIsExact() {
        let seed = storeSeed()
        print("RequestLimitTests seed \(seed)")
        var random = SimRandom(seed: seed)
        for _ in 0..<300 {
            var node = StoreNode(name: "m")
            for step in self.maker.warm({ $0.balance = 1_000_000 }) { _ = step.run(on: &node) }
            let key = RequestLimits(
                requestsPerMinute: random.between(1, 20), tokensPerMinute: random.between(100, 5000))
            let account = RequestLimits(
                requestsPerMinute: random.between(1, 20), tokensPerMinute: random.between(100, 5000))
            var now: Int64 = 0
            for number in 1...40 {
                let step = self.maker.place(
                    UInt64(number), tokens: random.between(0, 100), of: key, account: account)
                now += random.between(0, 9000)
                let answer = step.at(now).run(on: &node)
                guard case .reply(let reply) = answer, answer.code == -6, let wait = reply.number(at: 2)
                else {
                    #expect(answer.code == 0, "seed \(seed)")
                    continue
                }
                var sooner = node
                #expect(step.at(now + wait - 1).run(on: &sooner).code == -6, "seed \(seed)")
                now += wait
                #expect(step.at(now).run(on: &node).code == 0, "seed \(seed)")
            }
        }
    }

    /// Never more than the limit at once and what drains meanwhile, whenever requests come.
    @Test func noSpanAdmitsMoreThanOneBucketAndItsRefill() {
        let seed = storeSeed()
        print("RequestLimitTests seed \(seed)")
        var random = SimRandom(seed: seed)
        for _ in 0..<20 {
            var node = StoreNode(name: "m")
            for step in self.maker.warm({ $0.balance = 1_000_000 }) { _ = step.run(on: &node) }
            let limit = random.between(1, 30)
            var granted: [Int64] = []
            var now: Int64 = 0
            for number in 1...400 {
                now += random.oneIn(20) ? random.between(0, 90_000) : random.between(0, 1500)
                let step = self.maker.place(UInt64(number), of: RequestLimits(requestsPerMinute: limit))
                if step.at(now).run(on: &node).code == 0 { granted.append(now) }
            }
            for first in granted.indices {
                for last in first..<granted.count {
                    let allowed = limit * 60_000 + (granted[last] - granted[first]) * limit
                    #expect(Int64(last - first + 1) * 60_000 <= allowed, "seed \(seed)")
                }
            }
        }
    }
}

import Metering
import Testing

@testable import RedisHolds

/// 100,000 commands, duplicated and out of order, against a model: each answer, each sum, and the laws that
/// hold whatever happens.
@Suite struct RandomScriptTests {
    private static let accounts = 20
    private static let steps = 100_000
    private static let perBatch = 500

    /// A model with what the ledger would know of it.
    private struct Player {
        let account: AccountID
        var model: AccountModel
        var ledgerBalance: Int64
        var ledgerVersion: Int64 = 1
        let sessionCap: Int64
        var known: [HoldID] = []
        var unposted: [HoldID: Int64] = [:]
        /// Sum of everything granted under the cap must never pass it.
        var grantedUnderCap = true
    }

    @Test func everySequenceDoesWhatTheModelDoes() async throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("RandomScriptTests seed \(seed)")
        var random = SplitMix(state: seed)
        let client = try await ScriptClient()
        var players = try await Self.makePlayers(client, &random)
        for batch in 0..<(Self.steps / Self.perBatch) {
            var commands: [(HoldScript, AccountID, [String])] = []
            var expected: [Answer] = []
            for _ in 0..<Self.perBatch {
                let index = Int.random(in: 0..<players.count, using: &random)
                let (script, arguments, answer) = Self.step(&players[index], &random)
                commands.append((script, players[index].account, arguments))
                expected.append(answer)
            }
            let answers = try await client.run(commands)
            for (index, answer) in answers.enumerated() {
                guard Self.same(answer, expected[index]) else {
                    Issue.record(
                        """
                        seed \(seed), batch \(batch), command \(index) \(commands[index].0.name) \
                        \(commands[index].2): Redis \(answer), model \(expected[index])
                        """
                    )
                    return
                }
            }
            let player = players[batch % players.count]
            try await Self.check(player, client, "seed \(seed), batch \(batch)")
        }
        for player in players { try await Self.check(player, client, "seed \(seed), end") }
        await client.close()
    }

    private static func makePlayers(_ client: ScriptClient, _ random: inout SplitMix) async throws -> [Player]
    {
        var players: [Player] = []
        for index in 0..<Self.accounts {
            let balance = Int64.random(in: -200...20_000, using: &random)
            let floor = [0, 0, -500, 700][index % 4] as Int64
            let player = Player(
                account: freshAccount(), model: AccountModel(balance: balance, version: 1, floor: floor),
                ledgerBalance: balance, sessionCap: Int64.random(in: 2000...200_000, using: &random))
            _ = try await client.run(.load, player.account, "n")
            let answer = try await client.run(
                .initialize, player.account, "n", "E", "1", "1", "\(balance)", "1", "\(floor)", "0", "0", "0")
            #expect(answer == .integer(0))
            players.append(player)
        }
        return players
    }

    private static func step(
        _ player: inout Player, _ random: inout SplitMix
    ) -> (HoldScript, [String], Answer) {
        let loop = "A.\(Int.random(in: 0...1, using: &random))"
        let fence = player.model.fences[loop] ?? 1
        // Now and then a command of an older connection, or the first of a newer one.
        let generation = max(0, fence + [0, 0, 0, 0, -1, 1].randomElement(using: &random)!)
        let raise = Int.random(in: 0..<20, using: &random) == 0
        let old = player.known.suffix(40).randomElement(using: &random)
        let prefix = [loop, "\(generation)", raise ? "1" : "0"]
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<40:
            return Self.place(&player, loop, generation, repeating: old, &random)
        case 40..<62:
            guard let id = old else { return Self.place(&player, loop, generation, repeating: nil, &random) }
            // The first outcome of an id stands; repeats carry the same.
            let hold = player.model.holds[id]?.amount ?? 10
            let charge = player.unposted[id] ?? Int64.random(in: 0...(hold + hold / 8), using: &random)
            let answer = player.model.capture(id, charge, loop: loop, generation: generation, raise: raise)
            if answer == 0 { player.unposted[id] = charge }
            return (.capture, prefix + ["0", "\(id)", "\(charge)", "payload"], .integer(answer))
        case 62..<72:
            let id = old ?? freshHold()
            let answer = player.model.release(id, loop: loop, generation: generation, raise: raise)
            return (.release, prefix + ["\(id)", "A"], .integer(answer))
        case 72..<84:
            let id = old ?? freshHold()
            let total = Int64.random(in: 0...600, using: &random)
            let answer = player.model.extend(id, total, loop: loop, generation: generation)
            let arguments = [loop, "\(generation)", "0", "\(id)", "\(total)", "60000", "A", "", "", "", ""]
            return (.extend, arguments, .integers(answer))
        default:
            return Self.posted(&player, &random)
        }
    }

    private static func place(
        _ player: inout Player, _ loop: String, _ generation: Int64, repeating old: HoldID?,
        _ random: inout SplitMix
    ) -> (HoldScript, [String], Answer) {
        let isRepeat = Int.random(in: 0..<10, using: &random) == 0
        let id = isRepeat ? old ?? freshHold() : freshHold()
        let want = Int64.random(in: 0...500, using: &random)
        let least = Bool.random(using: &random) ? want : Int64.random(in: 0...want, using: &random)
        let cap = Bool.random(using: &random) ? player.sessionCap : nil
        let answer = player.model.place(
            id, want: want, least: least, session: cap, loop: loop, generation: generation)
        if answer[0] == 0 {
            player.known.append(id)
            if cap != nil {
                player.grantedUnderCap =
                    player.grantedUnderCap && player.model.spent + player.model.held <= player.sessionCap
            }
        }
        let arguments = [
            "E", loop, "\(generation)", "\(id)", "\(want)", "\(least)", "60000", "A", "5|c@1/m|chat|", "",
            cap.map { "\($0)" } ?? "", "",
        ]
        return (.place, arguments, .integers(answer))
    }

    private static func posted(
        _ player: inout Player, _ random: inout SplitMix
    ) -> (HoldScript, [String], Answer) {
        var settled: [(HoldID, Int64)] = []
        for (id, amount) in player.unposted.sorted(by: { $0.key < $1.key }).prefix(
            Int.random(in: 0...4, using: &random))
        {
            settled.append((id, amount))
            player.unposted[id] = nil
        }
        // The settler was faster than CAPTURE; a VOID; a reaper's estimate of a hold that is still open.
        if let id = player.model.holds.keys.sorted().randomElement(using: &random),
            Bool.random(using: &random)
        {
            settled.append((id, Int64.random(in: 0...50, using: &random)))
        }
        if Int.random(in: 0..<6, using: &random) == 0 { player.ledgerBalance += 3000 }
        player.ledgerBalance -= settled.reduce(0) { $0 + $1.1 }
        player.ledgerVersion += 1
        // Postings overtake each other.
        let isOld = Int.random(in: 0..<8, using: &random) == 0
        let version = isOld ? max(1, player.ledgerVersion - 3) : player.ledgerVersion
        let answer = player.model.posted(version: version, balance: player.ledgerBalance, settled)
        let ids = settled.flatMap { ["\($0.0)", "\($0.1)"] }
        return (.posted, ["1", "\(version)", "\(player.ledgerBalance)"] + ids, .integer(answer))
    }

    /// A reset time depends on the clock; everything else is the same to the digit.
    private static func same(_ answer: Answer, _ expected: Answer) -> Bool {
        guard case .integers(let expected) = expected, expected[0] == -4 else { return answer == expected }
        guard case .integers(let numbers) = answer else { return false }
        return numbers.count == 3 && numbers[0] == -4 && numbers[1] == expected[1] && numbers[2] > 0
    }

    private static func check(_ player: Player, _ client: ScriptClient, _ place: String) async throws {
        let audit = try await client.audit(player.account)
        let hash = try await client.hash(player.account)
        let model = player.model
        #expect(audit.problems == [], "\(place)")
        #expect(audit.held == model.held && audit.captured == model.captured, "\(place)")
        #expect(
            audit.balance?.balance.value == model.balance && audit.balance?.version == model.version,
            "\(place)")
        #expect(hash["D"] ?? "0" == "\(model.spent)" && hash["M"] ?? "0" == "\(model.spent)", "\(place)")
        #expect(Set(audit.holds.map(\.hold)) == Set(model.holds.keys), "\(place)")
        #expect(player.grantedUnderCap, "\(place)")
        for field in hash.values { #expect(field != "-0" && !field.contains("e+"), "\(place)") }
    }
}

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
            }
        }
        await client.close()
    }
}

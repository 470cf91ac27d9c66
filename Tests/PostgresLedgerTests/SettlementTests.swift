import Metering
import Testing

@testable import PostgresLedger

/// Settlement is exactly-once whatever is repeated, reordered or lost, and a poison row stops nobody.
@Suite(.serialized) struct SettlementTests {
    let outcomes = Outcomes()

    @Test func aBatchMovesBalancesOnceAndAnswersAllAccounts() async throws {
        let database = try await TestDatabase.migrated()
        let (rich, idle) = (
            try await database.account("rich", balance: 1000), try await database.account("idle")
        )
        let batch = [outcomes.final(rich, 300), outcomes.final(rich, 50), outcomes.void(idle)]
        let first = try await database.ledger.settle(batch)
        #expect(first.balances.map(\.balance.value) == [650, 0])
        #expect(first.balances.map(\.version) == [2, 0])
        // The commit was not heard of: the same outcomes go again, cut differently.
        let again = try await database.ledger.settle([batch[2], batch[0]])
        let rest = try await database.ledger.settle([batch[1]])
        #expect(again.balances == first.balances)
        #expect(rest.balances == [first.balances[0]])
        #expect(
            try await database.integer("SELECT count(*) FROM credit_ledger WHERE type = 'deduction'") == 1)
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// Otherwise "version moved, no ledger line" would look like a lost line.
    @Test func aBatchOfVoidsMovesNoVersion() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("free", balance: 10)
        let receipt = try await database.ledger.settle([outcomes.void(account), outcomes.void(account)])
        #expect(receipt.balances.map(\.version) == [1])
        #expect(try await database.integer("SELECT count(*) FROM usage_events WHERE kind = 'void'") == 2)
        #expect(try await database.verifier.verify().isEmpty)
    }

    @Test func everyColumnSaysWhatHappened() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("naïve \"user\"", balance: 10)
        let row = outcomes.final(account, 4, model: "quote\"back\\slash{}", served: "nul\u{0}null")
        _ = try await database.ledger.settle([row])
        let columns = try await database.pool.run { connection in
            try connection.run(
                """
                SELECT concat_ws('|', hold_id, user_id, kind, model, model_served, endpoint, service_tier,
                    input_tokens,
                    cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, price_id,
                    charged_millicredits, shadow_millicredits, cost_picousd, openai_request_id, estimated,
                        authority,
                    digest, owner_boot, (extract(epoch FROM occurred_at) * 1000)::bigint)
                FROM usage_events
                """
            ).one().text(0)
        }
        let hold = row.hold
        #expect(
            columns == """
                \(hold)|naïve "user"|final|quote"back\\slash{}|nul\u{FFFD}null|chat|default|15|3|2|8|1|\
                openai@2026-11-12/gpt-4o-mini|4|4|2000000|req_\(hold)|f|2|\(row.digest)|\(row.owner)|\
                \(row.occurredAtMilliseconds)
                """)
    }

    struct AuthorityCase: Sendable {
        /// (authority, amount) in the order of arrival, one batch each.
        var arrivals: [(Settlement.Authority, Int64)]
        var charged: Int64
        var conflicts: Int64
    }

    static let authorityCases = [
        AuthorityCase(arrivals: [(.reaper, 40), (.owner, 100)], charged: 100, conflicts: 0),
        AuthorityCase(arrivals: [(.reaper, 40), (.owner, 0)], charged: 0, conflicts: 0),
        AuthorityCase(arrivals: [(.owner, 100), (.reaper, 40)], charged: 100, conflicts: 0),
        AuthorityCase(arrivals: [(.reaper, 40), (.reaper, 60)], charged: 40, conflicts: 0),
        AuthorityCase(arrivals: [(.reaper, 40), (.recovery, 30), (.owner, 35)], charged: 35, conflicts: 0),
        AuthorityCase(arrivals: [(.reaper, 40), (.owner, 35), (.recovery, 30)], charged: 35, conflicts: 0),
        AuthorityCase(arrivals: [(.owner, 100), (.owner, 100)], charged: 100, conflicts: 0),
        AuthorityCase(arrivals: [(.owner, 100), (.owner, 101), (.owner, 101)], charged: 100, conflicts: 1),
        AuthorityCase(arrivals: [(.reaper, 40), (.owner, 35), (.owner, 36)], charged: 35, conflicts: 1),
        AuthorityCase(arrivals: [(.reaper, 40), (.owner, 40)], charged: 40, conflicts: 0),
    ]

    /// Higher authority corrects lower, once; two different authority-2 outcomes are recorded and change
    /// nothing.
    @Test func authorityDecides() async throws {
        let database = try await TestDatabase.migrated()
        for (number, example) in Self.authorityCases.enumerated() {
            let account = try await database.account("user\(number)", balance: 1000)
            let hold = Outcomes.hold()
            var conflicts = 0
            for _ in 0..<2 {  // everything is also harmless when it all comes again
                for (authority, amount) in example.arrivals {
                    let kind: Settlement.Kind = authority == .owner ? .final : .orphan
                    let row = outcomes.final(account, amount, hold: hold, authority: authority, kind: kind)
                    conflicts += try await database.ledger.settle([row]).conflicts
                }
            }
            let mine = "WHERE account_id = \(account)"
            #expect(try await database.balance(account) == 1000 - example.charged, "\(example)")
            #expect(Int64(conflicts) == example.conflicts, "\(example)")
            let recorded = try await database.integer("SELECT count(*) FROM settlement_conflict \(mine)")
            #expect(recorded == example.conflicts, "\(example)")
            let effective = try await database.integer(
                "SELECT charged_millicredits FROM usage_effective \(mine)")
            #expect(effective == example.charged, "\(example)")
        }
        #expect(try await database.verifier.verify().map(\.check) == ["no outcomes in conflict"])
    }

    /// The highest authority of one batch wins in that batch, and two different finals behind it are still
    /// noticed.
    @Test func rivalsInOneBatchAreAllCompared() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let (fresh, estimated) = (Outcomes.hold(), Outcomes.hold())
        _ = try await database.ledger.settle([outcomes.orphan(account, 10, hold: estimated)])
        let receipt = try await database.ledger.settle([
            outcomes.orphan(account, 7, hold: fresh), outcomes.final(account, 70, hold: fresh),
            outcomes.final(account, 71, hold: fresh),
            outcomes.final(account, 20, hold: estimated), outcomes.final(account, 21, hold: estimated),
        ])
        #expect(receipt.conflicts == 2)
        #expect(receipt.balances.map(\.balance.value) == [1000 - 70 - 20])
        #expect(try await database.verifier.verify().map(\.check) == ["no outcomes in conflict"])
    }

    @Test func poisonRowsGoToQuarantineAndBlockNobody() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let unknown: AccountID = 999_999
        let day = UInt64(86_400_000)
        var batch = (0..<37).map { _ in outcomes.final(account, 2) }
        let poison = [
            outcomes.final(unknown, 5),
            outcomes.final(account, 5, output: -100),
            outcomes.final(account, 5, hold: Outcomes.hold(at: Outcomes.now - 36 * day)),
            outcomes.final(account, 5, hold: Outcomes.hold(at: Outcomes.now + 2 * day)),
            outcomes.final(account, 2_000_000_000_000),
        ]
        for (place, row) in zip([0, 9, 20, 33, 41], poison) { batch.insert(row, at: place) }
        let receipt = try await database.ledger.settle(batch)
        #expect(Set(receipt.quarantined) == Set(poison.map(\.hold)))
        #expect(receipt.balances.map(\.balance.value) == [1000 - 74])
        // Sent again after an unknown commit: still one entry each.
        let again = try await database.ledger.settle(batch)
        #expect(again.balances == receipt.balances)
        let entries = try await database.pool.run { connection in
            try connection.run("SELECT hold_id, payload FROM settlement_quarantine ORDER BY hold_id").rows.map
            {
                (try $0.uuid(0), try $0.text(1))
            }
        }
        #expect(entries.map(\.0) == poison.map(\.hold).sorted())
        for (hold, payload) in entries {
            let row = try Settlement(decoding: Array(payload.utf8))
            #expect(row == poison.first { $0.hold == hold })
        }
        #expect(try await database.verifier.verify().map(\.check) == ["quarantine is empty"])
    }

    /// 20 s old or 34 days old is settled: the horizon is not a trap for a host that was away.
    @Test func whatIsInsideTheHorizonIsSettled() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let day = UInt64(86_400_000)
        let receipt = try await database.ledger.settle([
            outcomes.final(account, 1, hold: Outcomes.hold(at: Outcomes.now - 34 * day)),
            outcomes.final(account, 2, hold: Outcomes.hold(at: Outcomes.now - 20_000)),
        ])
        #expect(receipt.quarantined.isEmpty)
        #expect(receipt.balances.map(\.balance.value) == [997])
    }

    @Test func aNewTimelineOrARestoreRaisesTheGeneration() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 100)
        let before = try await database.ledger.settle([outcomes.final(account, 1)]).balances[0]
        // What a promoted standby looks like: the meta row was written on another timeline.
        try await database.execute("UPDATE ledger_meta SET timeline = '000000AA'")
        let promoted = try await database.ledger.settle([outcomes.final(account, 1)]).balances[0]
        let same = try await database.ledger.settle([outcomes.final(account, 1)]).balances[0]
        let restored = try await database.ledger.startNewGeneration().new
        #expect(promoted.generation > before.generation)
        #expect(same.generation == promoted.generation)
        #expect(restored > same.generation)
    }

    /// As `t_sql.py`: finals, voids, two reapers and owner recovery, tripled and shuffled, from six
    /// connections.
    @Test func anyInterleavingEndsWithTheSameMoney() async throws {
        let database = try await TestDatabase.migrated(poolSize: 6)
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        var accounts: [AccountID] = []
        for number in 0..<5 {
            accounts.append(try await database.account("user\(number)", balance: 1_000_000))
        }
        var messages: [Settlement] = []
        var truth: [HoldID: Int64] = [:]
        for _ in 0..<600 {
            let (account, hold) = (accounts.randomElement(using: &random)!, Outcomes.hold())
            let amount = Bool.random(using: &random) ? Int64.random(in: 1...50, using: &random) : 0
            truth[hold] = amount
            messages.append(
                amount == 0 ? outcomes.void(account, hold: hold) : outcomes.final(account, amount, hold: hold)
            )
            for authority in [Settlement.Authority.reaper, .reaper, .recovery]
            where Int.random(in: 0..<10, using: &random) < 4 {
                let guess = Int64.random(in: 0...60, using: &random)
                messages.append(outcomes.orphan(account, guess, hold: hold, authority: authority))
            }
        }
        var work: [[Settlement]] = []
        for _ in 0..<6 {
            var copy = messages + messages + messages
            copy.shuffle(using: &random)
            while !copy.isEmpty {
                let size = [1, 5, 60, 200].randomElement(using: &random)!
                work.append(Array(copy.suffix(size)))
                copy.removeLast(min(size, copy.count))
            }
        }
        work.shuffle(using: &random)
        let ledger = database.ledger
        try await withThrowingTaskGroup { group in
            for lane in 0..<6 {
                let batches = stride(from: lane, to: work.count, by: 6).map { work[$0] }
                group.addTask {
                    for batch in batches {
                        let receipt = try await ledger.settle(batch)
                        #expect(
                            Set(receipt.balances.map(\.account)) == Set(batch.map(\.account)), "seed \(seed)")
                        #expect(receipt.conflicts == 0 && receipt.quarantined.isEmpty, "seed \(seed)")
                    }
                }
            }
            try await group.waitForAll()
        }
        let posted = try await database.pool.run { connection in
            try connection.run("SELECT hold_id, charged_millicredits FROM usage_effective").rows.map {
                (try $0.uuid(0), try $0.int(1))
            }
        }
        #expect(Dictionary(uniqueKeysWithValues: posted) == truth, "seed \(seed)")
        let total = try await database.integer("SELECT sum(balance_millicredits)::bigint FROM credit_balance")
        #expect(total == 5_000_000 - truth.values.reduce(0, +), "seed \(seed)")
        #expect(try await database.verifier.verify().isEmpty, "seed \(seed)")
    }
}

/// SplitMix64: a replayable source for shuffles.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { self.state = seed }
    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

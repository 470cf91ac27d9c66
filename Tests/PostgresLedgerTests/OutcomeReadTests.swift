import Metering
import Testing

@testable import PostgresLedger

/// What the owner of a hold, its sweep and `verify` ask the ledger about holds.
@Suite(.serialized) struct OutcomeReadTests {
    let outcomes = Outcomes()

    private func key(_ outcome: Settlement) -> LedgerHold {
        LedgerHold(account: outcome.account, hold: outcome.hold)
    }

    /// A crash between PLACE and OPEN: the reaper charges the prompt, the owner, back again, takes it back.
    @Test func standingEstimatesBecomeVoidsOnce() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let stranger = Outcomes()
        let estimates = (0..<5).map { _ in outcomes.orphan(account, 10, hold: Outcomes.hold()) }
        _ = try await database.ledger.settle(
            estimates + [
                stranger.orphan(account, 10, hold: Outcomes.hold()), outcomes.final(account, 7),
                outcomes.orphan(account, 3, hold: Outcomes.hold(), authority: .recovery),
            ])
        _ = try await database.ledger.settle([outcomes.final(account, 50, hold: estimates[0].hold)])
        _ = try await database.ledger.settle([
            outcomes.orphan(account, 12, hold: estimates[1].hold, authority: .recovery)
        ])
        let mine = [PostgresLedger.freshID(), outcomes.owner]
        let standing = try await database.ledger.standingEstimates(of: mine, notIn: [estimates[2].hold])
        #expect(Set(standing.map(\.hold)) == Set(estimates[3...].map(\.hold)))
        let void = try #require(standing.first { $0.hold == estimates[3].hold }?.void)
        #expect(void.kind == .void && void.authority == .owner && void.owner == outcomes.owner)
        #expect(void.endpoint == .chat && void.modelRequested == estimates[3].modelRequested)
        #expect(void.priceID == estimates[3].priceID)
        #expect(void.occurredAtMilliseconds == estimates[3].occurredAtMilliseconds)
        let before = try await database.balance(account)
        _ = try await database.ledger.settle(standing.map(\.void))
        // Two starts at once, or a commit that was not heard of: the same outcome, so no conflict.
        let again = try await database.ledger.settle(standing.map(\.void))
        #expect(again.conflicts == 0)
        #expect(try await database.balance(account) == before + 20)
        #expect(try await database.ledger.standingEstimates(of: mine, notIn: [estimates[2].hold]).isEmpty)
        #expect(try await database.verifier.verify().isEmpty)
    }

    @Test func manyStandingEstimatesComeInPages() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 10_000)
        let estimates = (0..<2500).map { _ in outcomes.orphan(account, 1, hold: Outcomes.hold()) }
        for start in stride(from: 0, to: estimates.count, by: 500) {
            _ = try await database.ledger.settle(Array(estimates[start..<start + 500]))
        }
        let opened = Set(estimates.prefix(1000).map(\.hold))
        let standing = try await database.ledger.standingEstimates(of: [outcomes.owner], notIn: opened)
        #expect(standing.map(\.hold) == estimates.dropFirst(1000).map(\.hold).sorted())
    }

    @Test func whatCountsIsTheHighestAuthority() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let hold = Outcomes.hold()
        let ladder = [
            outcomes.orphan(account, 10, hold: hold),
            outcomes.orphan(account, 20, hold: hold, authority: .recovery),
            outcomes.final(account, 30, hold: hold),
        ]
        let plain = outcomes.void(account)
        _ = try await database.ledger.settle([plain])
        for outcome in ladder {
            _ = try await database.ledger.settle([outcome])
            let asked = [
                self.key(outcome), self.key(plain), LedgerHold(account: account, hold: Outcomes.hold()),
            ]
            let settled = try await database.ledger.settled(among: asked + asked)
            #expect(
                settled == [
                    self.key(outcome): SettledOutcome(
                        authority: outcome.authority, amount: outcome.charge.amount, digest: outcome.digest),
                    self.key(plain): SettledOutcome(authority: .owner, amount: .zero, digest: plain.digest),
                ])
        }
        // The id alone is not the key.
        let other = LedgerHold(account: account + 1, hold: hold)
        #expect(try await database.ledger.settled(among: [other]).isEmpty)
    }

    @Test func thousandsOfHoldsAreAskedInChunks() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 10_000)
        let known = (0..<1500).map { _ in outcomes.final(account, 1) }
        for start in stride(from: 0, to: known.count, by: 500) {
            _ = try await database.ledger.settle(Array(known[start..<start + 500]))
        }
        let unknown = (0..<1500).map { _ in LedgerHold(account: account, hold: Outcomes.hold()) }
        let settled = try await database.ledger.settled(among: known.map(self.key) + unknown)
        #expect(Set(settled.keys) == Set(known.map(self.key)))
    }

    // MARK: I9

    @Test func aJournalIsComparedOutcomeByOutcome() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let (corrected, rival, lost) = (Outcomes.hold(), Outcomes.hold(), outcomes.final(account, 9))
        let poison = outcomes.final(999_999, 5)
        let journal = [
            outcomes.final(account, 5), outcomes.void(account), poison,
            // Overruled later: the journal's own estimate need not be what counts.
            outcomes.orphan(account, 10, hold: corrected, authority: .recovery),
            outcomes.final(account, 30, hold: corrected),
            outcomes.final(account, 40, hold: rival), outcomes.final(account, 41, hold: rival),
        ]
        _ = try await database.ledger.settle(journal)
        let calm = try await database.verifier.verify(journal: journal)
        #expect(calm.map(\.check) == ["I9 journal outcomes that wait for a person"])
        #expect(calm.map(\.severity) == [.warning])
        #expect(calm.first?.total == 2)
        let found = try await database.verifier.verify(journal: journal + [lost])
        #expect(found.map(\.total) == [1, 2])
        #expect(found.first?.severity == .violation)
        #expect(found.first?.rows.first?.contains("\(lost.hold)") == true)
        #expect(try await database.verifier.verify(journal: []).isEmpty)
    }

    /// The same amount is not the same outcome.
    @Test func aRowThatSaysSomethingElseIsFound() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let outcome = outcomes.final(account, 5)
        _ = try await database.ledger.settle([outcome])
        var other = outcome
        other.modelServed = "another"
        #expect(try await database.verifier.verify(journal: [other]).first?.severity == .violation)
        try await database.execute("UPDATE usage_events SET charged_millicredits = 6")
        #expect(try await database.verifier.verify(journal: [outcome]).first?.severity == .violation)
    }

    // MARK: R5

    @Test func aHoldThatIsOverMustNotStandInTheHoldStore() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let (final, estimate) = (
            outcomes.final(account, 5), outcomes.orphan(account, 5, hold: Outcomes.hold())
        )
        _ = try await database.ledger.settle([final, estimate])
        let open = LedgerHold(account: account, hold: Outcomes.hold())
        let clean = [
            StoreEntry(hold: open, kind: .held, amount: Millicredits(5)),
            StoreEntry(hold: open, kind: .captured, amount: Millicredits(5)),
            StoreEntry(hold: self.key(estimate), kind: .captured, amount: Millicredits(5)),
        ]
        #expect(try await database.verifier.settled(among: clean).findings.isEmpty)
        for kind in StoreEntry.Kind.allCases {
            let entries = clean + [StoreEntry(hold: self.key(final), kind: kind, amount: Millicredits(5))]
            let found = try await database.verifier.settled(among: entries).findings
            #expect(found.map(\.check) == ["R5 no terminal id left in the hold store"])
            #expect(found.map(\.severity) == [.violation])
        }
        let estimated = try await database.verifier.settled(among: [
            StoreEntry(hold: self.key(estimate), kind: .held, amount: Millicredits(5))
        ]).findings
        #expect(estimated.map(\.severity) == [.warning])
    }
}

import LedgerSim
import Metering
import Testing

/// Fixtures of the model: entries with a digest that tells them apart.
enum Entries {
    static let now: Int64 = 1_800_000_000_000
    static let boot = HoldID(high: 7, low: 7)

    static func hold(_ number: UInt64, at milliseconds: Int64 = now) -> HoldID {
        HoldID(millisecondsSinceEpoch: UInt64(milliseconds), randomA: 0, randomB: number)
    }

    static func entry(
        _ number: UInt64, _ authority: Settlement.Authority, _ amount: Int64, account: AccountID = 1,
        at milliseconds: Int64 = now
    ) -> LedgerEntry {
        LedgerEntry(
            account: account, hold: self.hold(number, at: milliseconds), owner: self.boot,
            kind: authority == .owner ? .final : .orphan, authority: authority, amount: Millicredits(amount),
            digest: amount &* 31 &+ Int64(authority.rawValue))
    }
}

@Suite struct LedgerModelTests {
    private func model(without missing: Set<LedgerGuard> = []) -> LedgerModel {
        var model = LedgerModel(without: missing)
        for account in [AccountID(1), 2] {
            model.open(account)
            _ = model.grant(
                .init(account: account, amount: Millicredits(1000), sourceRef: "start-\(account)"))
        }
        return model
    }

    /// What a run looks like from outside, after a scenario that touches every guard.
    private struct Traits: Hashable {
        var balances: [AccountID: Int64] = [:]
        var answered: [[AccountID]] = []
        var conflicts = 0
        var quarantined: [HoldID] = []
        var isNewerAfterRollback = false
        var isSound = true
    }

    private func scenario(without missing: Set<LedgerGuard>) -> Traits {
        var traits = Traits()
        var model = self.model(without: missing)
        let begin = model
        let (orphan, late) = (Entries.entry(2, .reaper, 40), Entries.entry(2, .owner, 100))
        let batches = [
            [Entries.entry(1, .owner, 10)],
            [Entries.entry(1, .owner, 10)],  // the commit was not heard of
            [orphan], [late], [late],
            // Both in one batch, and the estimate first.
            [Entries.entry(3, .reaper, 5)],
            [Entries.entry(3, .recovery, 6), Entries.entry(3, .owner, 7)],
            [Entries.entry(4, .owner, 0)],
            [Entries.entry(1, .owner, 11)],  // two finals that differ
            [Entries.entry(5, .owner, 3, at: Entries.now - 36 * 86_400_000)],
            [Entries.entry(6, .owner, 1, account: 2), Entries.entry(1, .owner, 10)],
        ]
        for batch in batches {
            let receipt = model.settle(batch, now: Entries.now)
            traits.answered.append(receipt.balances.map(\.account))
            traits.conflicts += receipt.conflicts
            traits.quarantined += receipt.quarantined
        }
        traits.isSound = model.violations().isEmpty
        for account in model.accounts { traits.balances[account.key] = account.value.balance }
        let before = model.generation
        model.rollback(to: begin, now: Entries.now)
        traits.isNewerAfterRollback = model.generation > before
        return traits
    }

    @Test func theModelIsSoundWithAllItsGuards() {
        let traits = self.scenario(without: [])
        #expect(traits.isSound && traits.isNewerAfterRollback)
        #expect(traits.balances == [1: 1000 - 10 - 100 - 7, 2: 1000 - 1])
        #expect(traits.conflicts == 1)
        #expect(traits.quarantined == [Entries.hold(5, at: Entries.now - 36 * 86_400_000)])
        #expect(traits.answered == Array(repeating: [1], count: 10) + [[1, 2]])
    }

    /// A guard that can go unnoticed is not tested by anything that is built on this model.
    @Test(arguments: LedgerGuard.allCases) func everyMissingGuardShows(_ missing: LedgerGuard) {
        #expect(self.scenario(without: [missing]) != self.scenario(without: []))
    }

    /// Money and versions can be judged from the model's own sums alone.
    @Test(arguments: [LedgerGuard.primaryKey, .correctionKey, .versionOnlyWithLine])
    func theInvariantsFindWrongMoney(_ missing: LedgerGuard) {
        #expect(self.scenario(without: [missing]).isSound == false)
    }

    @Test func grantsAreExactlyOncePerKey() {
        var model = self.model()
        let grant = LedgerModel.Grant(account: 1, amount: Millicredits(5), sourceRef: "pi_1")
        let first = model.grant(grant)
        _ = model.settle([Entries.entry(1, .owner, 10)], now: Entries.now)
        guard case .granted(let balance, repeated: false) = first else {
            Issue.record("\(first)")
            return
        }
        #expect(model.grant(grant) == .granted(balance, repeated: true))
        var other = grant
        other.amount = Millicredits(6)
        #expect(model.grant(other) == .idempotencyConflict)
        other = LedgerModel.Grant(account: 9, amount: Millicredits(6), sourceRef: "x")
        #expect(model.grant(other) == .noSuchAccount)
        other = LedgerModel.Grant(account: 1, amount: .zero, sourceRef: "x")
        #expect(model.grant(other) == .zeroAmount)
        other.amount = Millicredits(Millicredits.magnitudeMax)
        #expect(model.grant(other) == .balanceOutOfRange)
        #expect(model.violations().isEmpty)
    }

    /// After a restore every journal posts again: the money ends where it was, in a later generation.
    @Test func aRollbackAndARepetitionEndEqual() {
        var model = self.model()
        let batches = (1...20).map { [Entries.entry($0, .owner, Int64($0))] }
        for batch in batches.prefix(10) { _ = model.settle(batch, now: Entries.now) }
        let past = model
        for batch in batches.dropFirst(10) { _ = model.settle(batch, now: Entries.now) }
        let (balance, generation) = (model.accounts[1]?.balance, model.generation)
        model.rollback(to: past, now: Entries.now)
        for batch in batches { _ = model.settle(batch, now: Entries.now) }
        #expect(model.accounts[1]?.balance == balance)
        #expect(model.generation > generation)
        #expect(model.violations().isEmpty)
    }

    @Test func standingEstimatesAreThoseNobodyAnswered() {
        var model = self.model()
        _ = model.settle((1...4).map { Entries.entry($0, .reaper, 5) }, now: Entries.now)
        _ = model.settle([Entries.entry(2, .owner, 0)], now: Entries.now)
        let standing = model.standingEstimates(of: [Entries.boot], notIn: [Entries.hold(3)])
        #expect(standing.map(\.hold) == [Entries.hold(1), Entries.hold(4)])
        #expect(model.standingEstimates(of: [], notIn: []).isEmpty)
    }
}

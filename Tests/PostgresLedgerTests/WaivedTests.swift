import Billing
import Metering
import Testing

@testable import PostgresLedger

/// Exchanges that were served and not charged.
@Suite(.serialized) struct WaivedTests {
    private let outcomes = Outcomes()

    private func waived(
        _ account: AccountID, _ shadow: Int64, hold: HoldID = Outcomes.hold(),
        authority: Settlement.Authority = .owner
    ) -> Settlement {
        var settlement = self.outcomes.final(account, 0, hold: hold, authority: authority)
        settlement.kind = .waived
        settlement.shadow = Millicredits(shadow)
        settlement.occurredAtMilliseconds = Int64(hold.millisecondsSinceEpoch)
        return settlement
    }

    @Test func theyCostNothingAndCountAgainstCaps() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 1000)
        let hold = Outcomes.hold()
        _ = try await database.ledger.settle([
            self.outcomes.final(account, 100), self.waived(account, 40),
            self.outcomes.orphan(account, 0, hold: hold),
        ])
        // Its owner was only late.
        _ = try await database.ledger.settle([self.waived(account, 7, hold: hold)])
        #expect(try await database.balance(account) == 900)
        let snapshot = try await withCheckedContinuation { continuation in
            database.ledger.snapshot(of: account, among: []) { continuation.resume(returning: $0) }
        }.get()
        #expect(snapshot.spentLastHour == Millicredits(147) && snapshot.spentToday == Millicredits(147))
        #expect(try await database.verifier.verify().isEmpty)
    }

    @Test func theReportHasThemInOrderBesideTheirBalances() async throws {
        let database = try await TestDatabase.migrated()
        let (poor, rich) = (
            try await database.account("poor"), try await database.account("rich", balance: 100)
        )
        // They begin when all of this is in the ledger.
        let later = { Outcomes.hold(at: Outcomes.now + 1_000) }
        _ = try await database.ledger.settle([
            self.waived(poor, 10, hold: later()), self.outcomes.final(rich, 30),
            self.waived(rich, 60, hold: later()), self.waived(rich, 60, hold: later()),
        ])
        let report = try await database.ledger.foldWaived(into: ShadowReport(), pageRows: 1) { $0.add($1) }
        #expect(report.total.requests == 3 && report.total.shadow == 130)
        #expect(report.byAccount[poor]?.refused == 1 && report.byAccount[poor]?.payable == 0)
        // It had 70 when they began; the second one does not fit beside the first.
        #expect(report.byAccount[rich]?.payable == 60 && report.byAccount[rich]?.refused == 1)
        #expect(report.users == [poor: "poor", rich: "rich"])
        let none = try await database.ledger.foldWaived(to: 0, into: ShadowReport()) { $0.add($1) }
        #expect(none.total.requests == 0)
    }
}

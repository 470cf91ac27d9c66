import Testing

@testable import Billing

/// A metric that a clean day wipes, or that tells one difference thirty times, is no alarm.
@Suite struct StandingDifferencesTests {
    private static func compared(
        _ check: ReconciliationCheck, _ day: Int64, _ findings: Int64, _ mismatch: Int128
    ) -> StandingDifferences.Compared {
        .init(check: check, day: UTCDay(daysSinceEpoch: day)!, findings: findings, mismatch: mismatch)
    }

    @Test func paymentsOfEachDayAddUp() {
        let standing = StandingDifferences(newest: [
            Self.compared(.payments, 9, 1, 5), Self.compared(.payments, 7, 2, 70),
            Self.compared(.payments, 8, 0, 0),
        ])
        #expect(standing.mismatch == 75 && standing.findings == [.payments: 3])
    }

    @Test(arguments: ReconciliationCheck.allCases.filter { $0 != .payments })
    func whatIsComparedUpToADayIsToldOnce(_ check: ReconciliationCheck) {
        let days = [
            Self.compared(check, 7, 3, 30), Self.compared(check, 9, 1, 5), Self.compared(check, 8, 2, 9),
        ]
        let standing = StandingDifferences(newest: days)
        #expect(standing.mismatch == 5 && standing.findings == [check: 1])
    }

    @Test func eachCheckHasItsOwnNewestDay() {
        let standing = StandingDifferences(newest: [
            Self.compared(.holdStore, 8, 1, 4), Self.compared(.usage, 9, 0, 0),
            Self.compared(.usage, 8, 5, 5),
        ])
        #expect(standing.mismatch == 4 && standing.findings == [.holdStore: 1, .usage: 0])
        #expect(StandingDifferences(newest: []).mismatch == 0)
    }
}

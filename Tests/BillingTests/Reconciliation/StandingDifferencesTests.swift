import Testing

@testable import Billing

/// A metric that a run of another day wipes, or that tells one difference thirty times, is no alarm.
@Suite struct StandingDifferencesTests {
    private static func compared(
        _ check: ReconciliationCheck, day: Int64, run: Int64, _ findings: Int64, _ mismatch: Int128
    ) -> StandingDifferences.Compared {
        .init(
            check: check, day: UTCDay(daysSinceEpoch: day)!, run: run, findings: findings, mismatch: mismatch)
    }

    /// They look at what is there when they run, whatever their day is: found there, or mended.
    @Test(arguments: ReconciliationCheck.allCases.filter { $0 != .usage && $0 != .openAICosts })
    func theNewestRunTellsWhatStands(_ check: ReconciliationCheck) {
        let runs = [
            Self.compared(check, day: 9, run: 1, 3, 30), Self.compared(check, day: 7, run: 3, 1, 5),
            Self.compared(check, day: 8, run: 2, 2, 9),
        ]
        let standing = StandingDifferences(newest: runs)
        #expect(standing.mismatch == 5 && standing.findings == [check: 1])
    }

    /// They look at the days up to their own: an older day that is made up for says nothing about the days after it.
    @Test(arguments: [ReconciliationCheck.usage, .openAICosts])
    func theNewestDayTellsWhatStandsUpToIt(_ check: ReconciliationCheck) {
        let runs = [
            Self.compared(check, day: 9, run: 1, 3, 30), Self.compared(check, day: 7, run: 3, 0, 0),
            Self.compared(check, day: 8, run: 2, 2, 9),
        ]
        let standing = StandingDifferences(newest: runs)
        #expect(standing.mismatch == 30 && standing.findings == [check: 3])
    }

    @Test func eachCheckHasItsOwn() {
        let standing = StandingDifferences(newest: [
            Self.compared(.holdStore, day: 8, run: 1, 1, 4), Self.compared(.usage, day: 9, run: 2, 0, 0),
        ])
        #expect(standing.mismatch == 4 && standing.findings == [.holdStore: 1, .usage: 0])
        #expect(StandingDifferences(newest: []).mismatch == 0)
    }
}

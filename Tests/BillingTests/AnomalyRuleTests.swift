import Billing
import Metering
import Testing

@Suite("Anomaly rule")
struct AnomalyRuleTests {
    private static let credit: Int64 = 1000

    private static func isFlagged(
        today: Int64, before: Int64, age: Int64 = 100, multiplier: Int64 = 5
    ) -> Bool {
        AnomalyRule(multiplier: multiplier).isAnomalous(
            .init(
                today: Millicredits(today * credit), before: Millicredits(before * credit), age: age))
    }

    @Test("more than the multiplier times the mean of seven days; exactly that much is not")
    func sevenDays() {
        #expect(!Self.isFlagged(today: 50_000, before: 70_000))
        #expect(Self.isFlagged(today: 50_001, before: 70_000))
        #expect(!Self.isFlagged(today: 90_000, before: 70_000, multiplier: 9))
    }

    @Test("a younger account has the mean of the days there are, at least one")
    func youngAccounts() {
        #expect(Self.isFlagged(today: 10_001, before: 4_000, age: 2))
        #expect(!Self.isFlagged(today: 10_000, before: 4_000, age: 2))
        #expect(Self.isFlagged(today: 20_001, before: 4_000, age: 0))
        #expect(!Self.isFlagged(today: 20_000, before: 4_000, age: 0))
    }

    @Test(
        "without a mean, as on the first day that is charged, only much more than what is never flagged counts"
    )
    func noMean() {
        #expect(!Self.isFlagged(today: 25_000, before: 0, age: 0))
        #expect(Self.isFlagged(today: 25_001, before: 0, age: 0))
        #expect(!Self.isFlagged(today: 25_000, before: 0))
        #expect(Self.isFlagged(today: 25_001, before: 0))
    }

    @Test("little is never flagged, however little there was before")
    func leastSpent() {
        #expect(!Self.isFlagged(today: 4_999, before: 1))
        #expect(Self.isFlagged(today: 5_000, before: 1))
    }

    @Test("the largest amounts do not overflow")
    func largest() {
        let most = Millicredits(Millicredits.magnitudeMax)
        #expect(!AnomalyRule(multiplier: 1000).isAnomalous(.init(today: most, before: most, age: 9)))
        #expect(AnomalyRule(multiplier: 1).isAnomalous(.init(today: most, before: most, age: 9)))
    }
}

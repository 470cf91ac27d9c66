import Billing
import Metering
import Testing

@Suite("Shadow report")
struct ShadowReportTests {
    private static func waived(
        _ account: AccountID, day: Int = 1, model: String = "gpt-4o", shadow: Int64, available: Int64
    ) throws -> WaivedExchange {
        WaivedExchange(
            account: account, user: "user \(account)",
            day: try #require(UTCDay(year: 2026, month: 11, day: day)),
            model: model, shadow: Millicredits(shadow), cost: PicoUSD(shadow * 500_000),
            available: Millicredits(available))
    }

    private static func report(_ exchanges: [WaivedExchange]) -> ShadowReport {
        var report = ShadowReport()
        for exchange in exchanges { report.add(exchange) }
        return report
    }

    @Test("a balance pays until an exchange does not fit; a smaller one after it may")
    func balancePays() throws {
        let report = Self.report([
            try Self.waived(1, shadow: 60, available: 100), try Self.waived(1, shadow: 50, available: 100),
            try Self.waived(1, shadow: 40, available: 100), try Self.waived(1, shadow: 1, available: 100),
        ])
        #expect(report.total.requests == 4 && report.total.refused == 2)
        #expect(report.total.shadow == 151 && report.total.payable == 100)
    }

    @Test("what was bought meanwhile pays too; a balance below zero pays nothing")
    func balancesMove() throws {
        let report = Self.report([
            try Self.waived(1, shadow: 100, available: 100), try Self.waived(1, shadow: 100, available: 150),
            try Self.waived(1, shadow: 100, available: 250), try Self.waived(2, shadow: 1, available: -5),
        ])
        #expect(report.byAccount[1]?.payable == 200 && report.byAccount[1]?.refused == 1)
        #expect(report.byAccount[2]?.payable == 0 && report.byAccount[2]?.refused == 1)
    }

    @Test("days, models and accounts each add up to the total")
    func sumsAddUp() throws {
        var exchanges: [WaivedExchange] = []
        for number in 1...60 as ClosedRange<Int64> {
            exchanges.append(
                try Self.waived(
                    number % 4, day: Int(number % 7 + 1), model: "m\(number % 3)", shadow: number * 7,
                    available: 900))
        }
        let report = Self.report(exchanges)
        for parts in [
            Array(report.byDay.values), Array(report.byModel.values), Array(report.byAccount.values),
        ] {
            #expect(parts.reduce(0) { $0 + $1.requests } == report.total.requests)
            #expect(parts.reduce(0) { $0 + $1.refused } == report.total.refused)
            #expect(parts.reduce(0) { $0 + $1.shadow } == report.total.shadow)
            #expect(parts.reduce(0) { $0 + $1.payable } == report.total.payable)
            #expect(parts.reduce(0) { $0 + $1.cost } == report.total.cost)
        }
        #expect(report.total.refused > 0 && report.total.cost == report.total.shadow * 500_000)
    }
}

import Metering
import Testing

@testable import Tollgate

@Suite struct ProcessMetricsTests {
    /// A program may be named anything, and the numbers stand behind its name.
    @Test func theNameOfAProgramIsSkipped() {
        let numbers = (3...30).map { $0 == 3 ? "S" : "\($0)" }.joined(separator: " ")
        let stat = ProcessStat(parsing: "42 (a ) b(c) " + numbers + "\n")
        #expect(stat?.cpuTicks == 14 + 15 && stat?.startTicks == 22)
        #expect(stat?.virtualBytes == 23 && stat?.residentPages == 24)
        #expect(ProcessStat(parsing: "42 (a) S 1 2") == nil && ProcessStat(parsing: "") == nil)
    }

    @Test func thisProcessIsDescribed() {
        let samples = ProcessMetrics(version: "1.2").samples()
        let names = Set(samples.map(\.name))
        #expect(
            names == [
                "tollgate_build_info", "process_cpu_seconds_total", "process_resident_memory_bytes",
                "process_virtual_memory_bytes", "process_start_time_seconds", "process_open_fds",
                "process_max_fds",
            ])
        #expect(samples.allSatisfy { $0.value.coefficient > 0 })
    }
}

@Suite struct KnownSeriesTests {
    private struct OneModel: PriceSource {
        let current: PriceTable
    }

    /// A rate begins with a series' second sample, so what will be counted is there before it is.
    @Test func whatIsSoldAndPricedIsThereFromTheStart() throws {
        let table = PriceTable(version: "c@1", mode: .exact, rows: [])
        let samples = KnownSeries(prices: OneModel(current: table), packages: ["starter"]).samples()
        #expect(
            Set(samples.map(\.name)) == [
                "billing_credits_purchased_total", "billing_checkouts_total", "billing_checkouts_paid_total",
            ])
        #expect(
            samples.allSatisfy { $0.value.coefficient == 0 && $0.labels == [.init("package", "starter")] })
    }
}

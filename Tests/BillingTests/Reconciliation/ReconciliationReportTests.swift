import Testing

@testable import Billing

/// A day whose run fails was tried: else it would come first again at once, and all others after it.
@Suite struct ReconciliationReportTests {
    private static let day = UTCDay(daysSinceEpoch: 20_000)!
    private struct Refused: Error {}

    @Test func aRunThatEndsIsItsReport() async throws {
        let report = try await ReconciliationReport.of(Self.day) {
            ReconciliationReport(day: Self.day, results: [ReconciliationResult(.usage, [])])
        }
        #expect(report.results.map(\.check) == [.usage] && report.isComplete)
    }

    @Test func aRunThatFailsIsAReportWithoutComparisons() async throws {
        let report = try await ReconciliationReport.of(Self.day) { throw Refused() }
        #expect(report.day == Self.day && !report.isComplete && report.isClean && report.mismatch == 0)
        #expect(report.results.map(\.check) == ReconciliationCheck.allCases)
        #expect(report.results.allSatisfy { $0.findings.first?.detail.contains("Refused") == true })
    }

    @Test func aRunThatWasCancelledIsNone() async {
        await #expect(throws: CancellationError.self) {
            try await ReconciliationReport.of(Self.day) { throw CancellationError() }
        }
        let stopped = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await ReconciliationReport.of(Self.day) { throw Refused() }
        }
        await #expect(throws: CancellationError.self) { try await stopped.value }
    }
}

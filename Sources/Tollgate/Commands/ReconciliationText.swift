import Billing

/// How `reconcile` tells what it found.
enum ReconciliationText {
    static func text(_ report: ReconciliationReport) -> String {
        var lines = report.results.flatMap(Self.lines)
        lines.append(
            "reconcile \(report.day): "
                + (report.isClean
                    ? (report.isComplete ? "clean" : "clean as far as it could be compared")
                    : "\(report.mismatch) millicredits differ"))
        return lines.joined(separator: "\n")
    }

    private static func lines(_ result: ReconciliationResult) -> [String] {
        switch result.outcome {
        case .clean: return ["\(result.check.rawValue): clean"]
        case .unavailable: return ["\(result.check.rawValue): unavailable: \(Self.reason(result))"]
        case .notConfigured: return ["\(result.check.rawValue): not configured: \(Self.reason(result))"]
        case .mismatch:
            let head =
                "\(result.check.rawValue): \(result.total) \(result.total == 1 ? "difference" : "differences"), "
                + "\(result.mismatch) millicredits"
            return [head] + result.findings.map { "  " + Self.text($0) }
        }
    }

    private static func reason(_ result: ReconciliationResult) -> String {
        result.findings.map(\.detail).joined(separator: "; ")
    }

    private static func text(_ finding: ReconciliationFinding) -> String {
        guard let amounts = finding.amounts else { return "\(finding.subject): \(finding.detail)" }
        return "\(finding.subject): expected \(amounts.expected), found \(amounts.found) "
            + "\(amounts.unit.rawValue) (\(finding.detail))"
    }

    // MARK: JSON

    struct Report: Encodable {
        var day: String
        var clean: Bool
        var complete: Bool
        /// A sum may be beyond what a reader of JSON holds exactly.
        var mismatch_millicredits: String
        var checks: [Check]

        init(_ report: ReconciliationReport) {
            self.day = "\(report.day)"
            self.clean = report.isClean
            self.complete = report.isComplete
            self.mismatch_millicredits = "\(report.mismatch)"
            self.checks = report.results.map(Check.init)
        }
    }

    struct Check: Encodable {
        var check: String
        var outcome: String
        var total: Int64
        var mismatch_millicredits: String
        var rows: [Row]

        init(_ result: ReconciliationResult) {
            self.check = result.check.rawValue
            self.outcome = result.outcome.rawValue
            self.total = result.total
            self.mismatch_millicredits = "\(result.mismatch)"
            self.rows = result.findings.map(Row.init)
        }
    }

    struct Row: Encodable {
        var subject: String
        var expected: Int64?
        var found: Int64?
        var unit: String?
        var detail: String

        init(_ finding: ReconciliationFinding) {
            self.subject = finding.subject
            self.expected = finding.amounts?.expected
            self.found = finding.amounts?.found
            self.unit = finding.amounts?.unit.rawValue
            self.detail = finding.detail
        }
    }
}

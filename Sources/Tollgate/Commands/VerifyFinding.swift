import Foundation
import PostgresLedger

/// What `verify` found, of whichever store.
struct VerifyFinding: Encodable {
    enum Severity: String, Encodable {
        /// Money or history is wrong: exit 1.
        case violation
        /// A person should look.
        case warning
        /// In order, and good to know.
        case note
    }

    static let rowsMax = LedgerVerifier.rowsMax

    /// The number of the invariant first.
    var check: String
    var severity: Severity
    /// How many offenders there are.
    var total: Int64
    /// The first of them, at most `rowsMax`.
    var rows: [String]

    /// - Parameter total: how many there are when `rows` are only the first.
    init(_ severity: Severity, _ check: String, _ rows: [String], total: Int64? = nil) {
        (self.check, self.severity, self.total) = (check, severity, total ?? Int64(rows.count))
        self.rows = Array(rows.prefix(Self.rowsMax))
    }

    init(_ finding: LedgerFinding) {
        self.check = finding.check
        self.severity = finding.severity == .violation ? .violation : .warning
        (self.total, self.rows) = (finding.total, finding.rows)
    }

    var text: String {
        (["\(self.severity.rawValue): \(self.check): \(self.total) \(self.total == 1 ? "row" : "rows")"]
            + self.rows.map { "  " + $0 }).joined(separator: "\n")
    }
}

/// Gathers findings; the same check found in parts is one finding.
struct VerifyFindings {
    private(set) var all: [VerifyFinding] = []

    var isClean: Bool { !self.all.contains { $0.severity == .violation } }

    mutating func add(_ finding: VerifyFinding) {
        guard finding.total > 0 else { return }
        let same = self.all.firstIndex { $0.check == finding.check && $0.severity == finding.severity }
        guard let same else { return self.all.append(finding) }
        self.all[same].total += finding.total
        self.all[same].rows += finding.rows.prefix(VerifyFinding.rowsMax - self.all[same].rows.count)
    }

    mutating func add(_ severity: VerifyFinding.Severity, _ check: String, _ rows: [String]) {
        self.add(VerifyFinding(severity, check, rows))
    }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self.all), as: UTF8.self)
    }
}

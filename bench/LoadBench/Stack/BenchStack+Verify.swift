import Foundation

/// What `tollgate verify` says of a stack.
public struct VerifyReport: Sendable, Equatable {
    /// Wrong money or history, as text: `violation: I2: 1 row`, and the rows.
    public var violations: [String] = []
    /// For a person to look at.
    public var warnings: [String] = []

    public var isClean: Bool { self.violations.isEmpty }

    private struct Finding: Decodable {
        var check: String
        var severity: String
        var total: Int64
        var rows: [String]

        var text: String {
            let head = "\(self.severity): \(self.check): \(self.total) \(self.total == 1 ? "row" : "rows")"
            return ([head] + self.rows.map { "  " + $0 }).joined(separator: "\n")
        }
    }

    /// Adds what `verify --json` wrote. The ledger is looked at beside each journal; what is found twice counts once.
    mutating func add(_ json: String) throws(StackError) {
        let findings: [Finding]
        do {
            findings = try JSONDecoder().decode([Finding].self, from: Data(json.utf8))
        } catch {
            throw .call(what: "tollgate verify --json", reason: "wrote something else: \(error)")
        }
        for finding in findings {
            switch finding.severity {
            case "note": continue
            case "warning": Self.append(finding.text, to: &self.warnings)
            default: Self.append(finding.text, to: &self.violations)
            }
        }
    }

    private static func append(_ text: String, to texts: inout [String]) {
        if !texts.contains(text) { texts.append(text) }
    }
}

extension BenchStack {
    /// All invariants of ledger and hold store, with the journals of the lanes and of the stack's own instance. Takes
    /// up to minutes after millions of exchanges.
    public func verify() throws(StackError) -> VerifyReport {
        var report = VerifyReport()
        // Without a lane of Tollgate's there is no second journal.
        for journal in [self.stores.journalDirectory, self.laneJournalDirectory]
        where FileManager.default.fileExists(atPath: journal) {
            let environment = TollgateLane.storeEnvironment(self.stores.facts, journalDirectory: journal)
            let done = try ToolRun.run(
                [self.setup.tollgate, "verify", "--json"], prefix: self.setup.layout.startPrefix(.other),
                environment: environment, directory: self.setup.checkout, scratch: self.directory,
                seconds: 1800)
            // 1 is what it says when it found something; then the findings are there.
            if done.status != 1 || done.output.isEmpty { try done.checked() }
            try report.add(done.output)
        }
        return report
    }
}

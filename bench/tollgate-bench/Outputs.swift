import ArgumentParser
import Foundation
import LoadBench

/// Where results go besides the table on standard output.
struct Outputs: ParsableArguments {
    @Option(help: "Write all that was measured to this file, as JSON.") var json: String?
    @Option(help: "Write a report with plots to this file; it opens without a network.") var html: String?
    @Option(help: "Write the tables to this file, for bench/results.") var markdown: String?

    func write(_ suite: SuiteResult, baseline: String?) throws {
        print(TextReport(baseline: baseline).text(suite), terminator: "")
        if let json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
            try self.write(String(decoding: encoder.encode(suite), as: UTF8.self) + "\n", json)
        }
        if let html { try self.write(HTMLReport(baseline: baseline).text(suite), html) }
        if let markdown { try self.write(MarkdownReport(baseline: baseline).text(suite), markdown) }
    }

    private func write(_ text: String, _ path: String) throws {
        do { try text.write(toFile: path, atomically: true, encoding: .utf8) } catch {
            throw ValidationError("cannot write \(path): \(error.localizedDescription)")
        }
        print("written: \(path)")
    }
}

extension SuiteResult {
    /// - Throws: an exit code of 1 when something was found, which is told on standard error.
    func passOrFail() throws {
        let findings = self.findings
        for finding in findings { FileHandle.standardError.write(Data("failed: \(finding)\n".utf8)) }
        if !findings.isEmpty { throw ExitCode(1) }
    }

    /// What makes the exit code 1, a line each. Times of a warm-up do not count; its money and its replies do.
    var findings: [String] {
        self.scenarios.flatMap { scenario in
            (scenario.runs.isEmpty ? ["\(scenario.name): nothing was measured"] : [])
                + scenario.findings.map { "\(scenario.name): \($0)" }
                + scenario.runs.flatMap { run in
                    run.findings.map { "\(scenario.name), \(run.lane), \(run.place): \($0)" }
                }
        }
    }
}

extension RunResult {
    var place: String { self.round == 0 ? "warm-up" : "round \(self.round)" }

    fileprivate var findings: [String] {
        var found: [String] = []
        if self.round > 0, self.failed > 0 {
            found.append("\(self.failed) of \(self.started) exchanges failed")
        }
        if self.round > 0, !self.otherErrors.isEmpty {
            let errors = self.otherErrors.map { "\($0.value) × \($0.key)" }.sorted().joined(separator: ", ")
            found.append("exchanges failed that began before or after the measured part: \(errors)")
        }
        if self.fidelity?.isExact == false { found.append("replies are not the upstream's") }
        if let billing = self.billing, billing.difference != 0 {
            found.append("charged \(billing.charged), due \(billing.due)")
        }
        if self.units == 0 { found.append("nothing was served") }
        return found
    }
}

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

    /// What makes the exit code 1, a line each.
    var findings: [String] {
        self.scenarios.flatMap { scenario in
            scenario.runs.filter { $0.round > 0 }.flatMap { run -> [String] in
                let place = "\(scenario.name), \(run.lane), round \(run.round)"
                var found: [String] = []
                if run.failed > 0 {
                    found.append("\(place): \(run.failed) of \(run.started) exchanges failed")
                }
                if run.fidelity?.isExact == false { found.append("\(place): replies are not the upstream's") }
                if let billing = run.billing, !billing.isExact {
                    found.append(
                        "\(place): charged \(billing.charged), due \(billing.due), verify \(billing.verifyFindings ?? 0)"
                    )
                }
                if run.succeeded == 0, run.chunks == 0 { found.append("\(place): nothing was served") }
                return found
            }
        }
    }
}

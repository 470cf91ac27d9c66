import ArgumentParser
import Foundation
import LoadBench

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Tables and report of results that were kept with --json.")

    @Argument(help: "Such a file.") var file: String
    @Option(help: "The lane that ratios are over.") var baseline = "nginx"
    @OptionGroup var outputs: Outputs

    func run() throws {
        guard let data = FileManager.default.contents(atPath: self.file) else {
            throw ValidationError("cannot read \(self.file)")
        }
        let suite: SuiteResult
        do { suite = try JSONDecoder().decode(SuiteResult.self, from: data) } catch {
            throw ValidationError("\(self.file) has no results of tollgate-bench: \(error)")
        }
        try self.outputs.write(suite, baseline: self.baseline)
    }
}

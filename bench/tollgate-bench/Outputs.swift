import ArgumentParser
import Foundation
import LoadBench

/// Where results go besides the table on standard output.
struct Outputs: ParsableArguments {
    @Option(help: "Write all that was measured to this file, as JSON.") var json: String?
    @Option(help: "Write a report with plots to this file; it opens without a network.") var html: String?
    @Option(help: "Write the tables to this file, for bench/results.") var markdown: String?

    /// Before anything is measured: what could not be written would be lost at the end.
    func validate() throws {
        for (option, path) in [("--json", self.json), ("--html", self.html), ("--markdown", self.markdown)] {
            guard let path, let problem = Self.problem(of: path) else { continue }
            throw ValidationError("\(option): cannot write \(path): \(problem)")
        }
    }

    private static func problem(of path: String) -> String? {
        let files = FileManager.default
        var isDirectory: ObjCBool = false
        if files.fileExists(atPath: path, isDirectory: &isDirectory) {
            if isDirectory.boolValue { return "it is a directory" }
            return files.isWritableFile(atPath: path) ? nil : "no permission"
        }
        let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
        guard files.fileExists(atPath: parent) else { return "there is no directory \(parent)" }
        return files.isWritableFile(atPath: parent) ? nil : "no permission in \(parent)"
    }

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
        let failures = self.failures
        for failure in failures { FileHandle.standardError.write(Data("failed: \(failure)\n".utf8)) }
        if !failures.isEmpty { throw ExitCode(1) }
    }
}

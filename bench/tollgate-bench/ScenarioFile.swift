import ArgumentParser
import Foundation
import LoadBench

/// A scenario and the text it was read from.
struct ScenarioFile {
    var scenario: Scenario
    var yaml: String

    /// With what an option of the command line says of a field instead of the file, which then says so; nil: as it is.
    func played<Value>(
        with option: String, _ value: Value?, at field: WritableKeyPath<Scenario, Value>
    ) -> ScenarioFile {
        guard let value else { return self }
        var file = self
        file.scenario[keyPath: field] = value
        file.yaml = "# played with --\(option) \(value)\n" + file.yaml
        return file
    }

    /// Shipped ones stand below `bench/scenarios` of the working directory, or of the directory of the program's checkout.
    static func directory() -> URL? {
        let program = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        var place = program.deletingLastPathComponent()
        var candidates = [URL(filePath: FileManager.default.currentDirectoryPath)]
        for _ in 0..<4 {
            candidates.append(place)
            place = place.deletingLastPathComponent()
        }
        return candidates.map { $0.appending(path: "bench/scenarios") }
            .first { FileManager.default.fileExists(atPath: $0.path) }
    }

    static func shipped() -> [String] {
        guard let directory = self.directory(),
            let files = try? FileManager.default.contentsOfDirectory(atPath: directory.path)
        else { return [] }
        return files.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
    }

    /// - Parameter name: of a shipped scenario, or the path of a file.
    static func read(_ name: String) throws -> ScenarioFile {
        let shipped = self.directory()?.appending(path: name + ".yaml")
        let file = name.contains("/") || name.hasSuffix(".yaml") ? URL(filePath: name) : shipped
        guard let file, let yaml = try? String(contentsOf: file, encoding: .utf8) else {
            let known = self.shipped().joined(separator: ", ")
            let hint =
                known.isEmpty ? "give the path of a file" : "name one of \(known), or the path of a file"
            throw ValidationError("there is no scenario \(name): \(hint)")
        }
        do { return ScenarioFile(scenario: try Scenario(yaml: yaml), yaml: yaml) } catch {
            throw ValidationError("\(file.path): \(error)")
        }
    }
}

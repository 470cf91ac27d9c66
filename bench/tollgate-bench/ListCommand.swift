import ArgumentParser

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "The scenarios that ship, a line each.")

    func run() throws {
        let names = ScenarioFile.shipped()
        guard !names.isEmpty else {
            throw ValidationError(
                "no scenarios here: they are looked for below bench/scenarios of a checkout; give `run` a file"
            )
        }
        for name in names {
            let padded = name + String(repeating: " ", count: max(1, 18 - name.count))
            print(padded + (try ScenarioFile.read(name).scenario.summary))
        }
    }
}

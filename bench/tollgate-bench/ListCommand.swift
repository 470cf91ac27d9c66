import ArgumentParser

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "The scenarios that ship, a line each.")

    func run() throws {
        for name in ScenarioFile.shipped() {
            let padded = name + String(repeating: " ", count: max(1, 18 - name.count))
            print(padded + (try ScenarioFile.read(name).scenario.summary))
        }
    }
}

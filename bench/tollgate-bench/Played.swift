import Foundation
import LoadBench

/// What came of some scenarios; one that cannot be played ends them, and keeps what the others brought.
struct Played {
    private var suite: SuiteResult
    /// Why the rest was not played.
    private var failure: (any Error)?

    /// Plays one after the other, until one cannot be played.
    static func play(
        _ files: [ScenarioFile], on machine: Machine, _ bar: ProgressBar,
        _ play: (ScenarioFile, (LocalSuite.Progress) -> Void) async throws -> ScenarioResult
    ) async -> Played {
        var played = Played(
            suite: SuiteResult(startedAt: Date().ISO8601Format(), machine: machine, scenarios: []))
        for file in files {
            bar.say("==> \(file.scenario.name): \(file.scenario.summary)")
            var soFar = played.suite
            soFar.scenarios.append(file.begun)
            do {
                let result = try await play(file) { progress in
                    bar.show(progress)
                    guard case .done(let run) = progress else { return }
                    soFar.scenarios[soFar.scenarios.count - 1].runs.append(run)
                    Interruption.keep(soFar)
                }
                played.suite.scenarios.append(result)
                Interruption.keep(played.suite)
            } catch {
                played.failure = error
                break
            }
        }
        return played
    }

    /// - Throws: why not all was played, or an exit code of 1 when something was found.
    func writeAndJudge(_ outputs: Outputs, baseline: String?) throws {
        Interruption.endIfInterrupted()
        try outputs.write(self.suite, baseline: baseline)
        if let failure { throw failure }
        try self.suite.passOrFail()
    }
}

extension ScenarioFile {
    /// A result that says of itself that it is not whole.
    fileprivate var begun: ScenarioResult {
        var result = ScenarioResult(name: self.scenario.name, summary: self.scenario.summary, yaml: self.yaml)
        result.findings = ["stopped before its end"]
        return result
    }
}

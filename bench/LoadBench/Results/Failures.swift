/// Something that makes a suite fail.
struct Failure: Sendable, Equatable {
    /// `governed, round 2`; nil: of the scenario.
    var place: String?
    var problem: String

    var text: String { self.place.map { "\($0): \(self.problem)" } ?? self.problem }
}

extension SuiteResult {
    /// What makes it fail, a line each. Times of a warm-up do not count; its money and its replies do.
    public var failures: [String] {
        self.scenarios.flatMap { scenario in
            scenario.failures.map { "\(scenario.name)\($0.place == nil ? ":" : ",") \($0.text)" }
        }
    }
}

extension ScenarioResult {
    var failures: [Failure] {
        (self.runs.isEmpty ? ["nothing was measured"] : []).map { Failure(problem: $0) }
            + self.findings.map { Failure(problem: $0) }
            + self.runs.flatMap { run in
                run.problems.map { Failure(place: "\(run.lane), \(run.place)", problem: $0) }
            }
    }
}

extension RunResult {
    public var place: String { self.round == 0 ? "warm-up" : "round \(self.round)" }

    fileprivate var problems: [String] {
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

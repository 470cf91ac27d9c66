import Yams

/// Upper bounds of `CountSuite.Cost`, kept in git (bench/limits.yaml).
public struct CountLimits: Equatable, Sendable {
    private var limits: [String: [CountSuite.Unit: Limit]] = [:]

    private struct Limit: Equatable, Sendable {
        var allocations: Double
        var syscalls: Double
    }

    /// - Throws: `ScenarioError` with the field that is wrong.
    public init(yaml: String) throws(ScenarioError) {
        guard let root = (try? Yams.compose(yaml: yaml)) ?? nil, let builds = root.mapping else {
            throw ScenarioError("", "no YAML of builds and their limits")
        }
        for (key, node) in builds {
            let build = key.scalar?.string ?? ""
            var fields = try FieldReader(node, path: build)
            for unit in CountSuite.Unit.allCases {
                guard let node = fields.node(unit.rawValue) else { continue }
                var numbers = try FieldReader(node, path: "\(build).\(unit.rawValue)")
                let allocations = try numbers.number("allocations", in: 0...1e9)
                let syscalls = try numbers.number("syscalls", in: 0...1e9)
                try numbers.finish()
                guard let allocations, let syscalls else {
                    throw ScenarioError("\(build).\(unit.rawValue)", "wants allocations and syscalls")
                }
                self.limits[build, default: [:]][unit] = Limit(allocations: allocations, syscalls: syscalls)
            }
            try fields.finish()
        }
    }

    /// - Throws: `ScenarioError` when nobody says what the limits of this build are.
    public func check(build: String) throws(ScenarioError) {
        for unit in CountSuite.Unit.allCases where self.limits[build]?[unit] == nil {
            throw ScenarioError("\(build).\(unit.rawValue)", "has no limits")
        }
    }

    /// What is above its limit, a sentence each.
    ///
    /// - Throws: `ScenarioError` when nobody says what the limit is.
    public func violations(
        of cost: CountSuite.Cost, _ unit: CountSuite.Unit, build: String
    ) throws(ScenarioError) -> [String] {
        guard let limit = self.limits[build]?[unit] else {
            throw ScenarioError("\(build).\(unit.rawValue)", "has no limits")
        }
        return [
            ("allocations", cost.allocations, limit.allocations),
            ("system calls", cost.syscalls, limit.syscalls),
        ]
        .filter { $0.1 > $0.2 }
        .map { "\(build), \(unit.rawValue): \($0.1) \($0.0), the limit is \($0.2)" }
    }
}

import Yams

/// Takes the fields of one mapping, each once; what nobody took is a mistake of the writer.
struct FieldReader {
    private let path: String
    private var fields: [String: Node]

    init(_ node: Node, path: String = "") throws(ScenarioError) {
        guard let mapping = node.mapping else { throw ScenarioError(path, "is to be a mapping of fields") }
        self.path = path
        self.fields = [:]
        for (key, value) in mapping {
            guard let name = key.scalar?.string else {
                throw ScenarioError(path, "has a field whose name is no text")
            }
            guard self.fields.updateValue(value, forKey: name) == nil else {
                throw ScenarioError(self.full(name), "stands there twice")
            }
        }
    }

    private func full(_ name: String) -> String { self.path.isEmpty ? name : "\(self.path).\(name)" }

    mutating func node(_ name: String) -> Node? { self.fields.removeValue(forKey: name) }

    mutating func text(_ name: String) throws(ScenarioError) -> String? {
        guard let node = self.node(name) else { return nil }
        guard let text = node.scalar?.string, !text.isEmpty else {
            throw ScenarioError(self.full(name), "is to be text")
        }
        return text
    }

    mutating func flag(_ name: String, default standard: Bool) throws(ScenarioError) -> Bool {
        switch try self.text(name) {
        case nil: return standard
        case "true"?: return true
        case "false"?: return false
        case .some: throw ScenarioError(self.full(name), "is to be true or false")
        }
    }

    mutating func whole(_ name: String, in range: ClosedRange<Int>) throws(ScenarioError) -> Int? {
        guard let text = try self.text(name) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw ScenarioError(
                self.full(name),
                "\(text) is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    mutating func number(_ name: String, in range: ClosedRange<Double>) throws(ScenarioError) -> Double? {
        guard let text = try self.text(name) else { return nil }
        guard let value = Double(text), range.contains(value) else {
            throw ScenarioError(
                self.full(name), "\(text) is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    mutating func choice<Value: RawRepresentable & CaseIterable>(
        _ name: String, default standard: Value
    ) throws(ScenarioError) -> Value where Value.RawValue == String {
        try self.choice(name) ?? standard
    }

    mutating func choice<Value: RawRepresentable & CaseIterable>(
        _ name: String
    ) throws(ScenarioError) -> Value? where Value.RawValue == String {
        guard let text = try self.text(name) else { return nil }
        guard let value = Value(rawValue: text) else {
            let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
            throw ScenarioError(self.full(name), "\(text) is none of \(known)")
        }
        return value
    }

    /// A number, or a mapping: `{uniform: [LOW, HIGH]}`, `{median: M, p99: P, max: X}`.
    mutating func distribution(
        _ name: String, in range: ClosedRange<Int>, default standard: Int
    ) throws(ScenarioError) -> Distribution {
        guard let node = self.node(name) else { return .constant(standard) }
        let field = self.full(name)
        if let text = node.scalar?.string {
            guard let value = Int(text), range.contains(value) else {
                throw ScenarioError(
                    field, "\(text) is not a whole number from \(range.lowerBound) to \(range.upperBound)")
            }
            return .constant(value)
        }
        var parts = try FieldReader(node, path: field)
        let made = try parts.spread(in: range)
        try parts.finish()
        return made
    }

    private mutating func spread(in range: ClosedRange<Int>) throws(ScenarioError) -> Distribution {
        if let node = self.node("uniform") {
            let parts = node.sequence.map(Array.init) ?? []
            let ends = parts.compactMap { $0.scalar.flatMap { Int($0.string) } }
            guard parts.count == 2, ends.count == 2, ends[0] <= ends[1], ends.allSatisfy(range.contains)
            else {
                throw ScenarioError(
                    self.full("uniform"),
                    "is to be [LOW, HIGH] with whole numbers from \(range.lowerBound) to \(range.upperBound)")
            }
            return .uniform(ends[0], ends[1])
        }
        guard let median = try self.whole("median", in: range), let p99 = try self.whole("p99", in: range)
        else {
            throw ScenarioError(
                self.path, "is to be a number, {uniform: [LOW, HIGH]} or {median: M, p99: P, max: X}")
        }
        let most = try self.whole("max", in: range) ?? range.upperBound
        guard 0 < median, median < p99, p99 <= most else {
            throw ScenarioError(self.path, "wants 0 < median < p99 ≤ max")
        }
        return .lognormal(median: median, p99: p99, max: most)
    }

    func finish() throws(ScenarioError) {
        guard let left = self.fields.keys.min() else { return }
        throw ScenarioError(self.full(left), "is not a field of a scenario")
    }
}

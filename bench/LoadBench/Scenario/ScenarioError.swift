/// What is wrong with a scenario file, with the field as it stands there.
public struct ScenarioError: Error, Equatable, CustomStringConvertible {
    public var field: String
    public var problem: String

    public init(_ field: String, _ problem: String) {
        self.field = field
        self.problem = problem
    }

    public var description: String { self.field.isEmpty ? self.problem : "\(self.field): \(self.problem)" }
}

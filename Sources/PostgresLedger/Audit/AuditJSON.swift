import Metering

/// Values of the `before` and `after` of an entry of the audit log.
enum AuditJSON {
    static func text(_ value: String) -> String { JSONLiteral.string(value) }
    static func text(_ value: String?) -> String { value.map { JSONLiteral.string($0) } ?? "null" }
    static func number(_ value: Int64?) -> String { value.map { String($0) } ?? "null" }
    /// Amounts are strings (CONTRACT §5).
    static func amount(_ value: Millicredits) -> String { "\"\(value.value)\"" }

    static func object(_ members: [(String, String)]) -> String {
        "{" + members.map { "\(self.text($0.0)): \($0.1)" }.joined(separator: ", ") + "}"
    }
}

import Metering
import Yams

/// Scalars and mappings of the file, each with its own complaint.
extension RateCardReader {
    /// A mapping's values by key; unknown keys are named, and left out.
    mutating func mapping(_ node: Node, _ path: String, known: Set<String>) -> [String: Node]? {
        guard let mapping = node.mapping else {
            self.reject(path, "must be a mapping", node)
            return nil
        }
        var fields: [String: Node] = [:]
        for (key, value) in mapping {
            let name = key.scalar?.string ?? "?"
            if !known.contains(name) {
                let expected = known.sorted().joined(separator: ", ")
                self.reject(path, "has the unknown key '\(name)'; it knows \(expected)", key)
            } else if fields.updateValue(value, forKey: name) != nil {
                self.reject(path, "names '\(name)' twice", key)
            }
        }
        return fields
    }

    /// A mapping whose keys are names that people choose: models, tools, tiers.
    mutating func entries(
        _ node: Node?, _ path: String, required: Bool, _ parent: Node
    ) -> [(String, Node)] {
        guard let node else {
            if required { self.reject(path, "is missing", parent) }
            return []
        }
        guard let mapping = node.mapping, !(required && mapping.isEmpty) else {
            self.reject(path, "must be a mapping" + (required ? " with at least one entry" : ""), node)
            return []
        }
        return mapping.compactMap { key, value in
            guard let name = key.scalar?.string, Self.isName(name, also: ":/") else {
                self.reject(path, "has a key that is not a name of letters, digits and . _ - : /", key)
                return nil
            }
            return (name, value)
        }
    }

    /// A name that becomes part of a price id: `card@version/model` must be unambiguous.
    mutating func identifier(_ node: Node?, _ path: String, _ parent: Node) -> String? {
        guard let text = node?.scalar?.string, !text.isEmpty else {
            self.reject(path, "is missing", node ?? parent)
            return nil
        }
        guard Self.isName(text, also: "") else {
            self.reject(path, "must be a name of letters, digits and . _ -", node)
            return nil
        }
        return text
    }

    private static func isName(_ text: String, also: String) -> Bool {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "-"):
                true
            default: also.utf8.contains(byte)
            }
        }
        return isPlain && (1...128).contains(text.utf8.count)
    }

    mutating func whole(_ node: Node?, _ path: String, _ parent: Node) -> Int64? {
        guard let text = node?.scalar?.string else {
            self.reject(path, "is missing", node ?? parent)
            return nil
        }
        let isDigits = text.utf8.allSatisfy { (0x30...0x39).contains($0) }
        guard isDigits, let value = Int64(text), value <= 1_000_000_000 else {
            self.reject(path, "must be a whole number of tokens, at most 1000000000", node)
            return nil
        }
        return value
    }

    /// A quoted decimal. An unquoted one is refused even where it would read the same: the next tool that
    /// edits the file would take it for a binary float.
    mutating func decimal(_ node: Node?, _ path: String, _ parent: Node) -> ExactDecimal? {
        guard let scalar = node?.scalar else {
            self.reject(path, node == nil ? "is missing" : "must be a quoted decimal", node ?? parent)
            return nil
        }
        guard scalar.style == .doubleQuoted || scalar.style == .singleQuoted else {
            self.reject(path, "must be a quoted decimal, such as \"0.15\"", node)
            return nil
        }
        do throws(ExactDecimal.ParseFailure) {
            return try ExactDecimal(parsing: scalar.string)
        } catch {
            let reason =
                error == .tooManyDigits ? "has more than 30 digits" : "'\(scalar.string)' is not a decimal"
            self.reject(path, reason, node)
            return nil
        }
    }

    mutating func instant(_ node: Node?, _ path: String, _ parent: Node) -> Int64? {
        guard let text = node?.scalar?.string else {
            self.reject(path, "is missing", node ?? parent)
            return nil
        }
        guard let instant = UTCInstant.milliseconds(parsing: text) else {
            self.reject(path, "must be an instant in UTC, such as 2026-11-12T00:00:00Z", node)
            return nil
        }
        return instant
    }

    /// What the YAML parser refused, in one line, without an excerpt of the file.
    static func problem(_ error: any Error) -> RateCardProblem {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            RateCardProblem(.error, "(file)", "is not YAML: \(problem)", line: mark.line)
        case .duplicatedKeysInMapping(let duplicates, let context):
            RateCardProblem(
                .error, "(file)", "names a key twice: \(duplicates.joined(separator: ", "))",
                line: context.mark.line)
        default:
            RateCardProblem(.error, "(file)", "is not YAML")
        }
    }
}

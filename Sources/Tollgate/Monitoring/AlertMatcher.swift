/// A matcher of Alertmanager: `name="value"`, with `=`, `!=`, `=~` or `!~`. A label that is not there is an empty one, and an
/// expression matches the whole of a value.
///
/// Source: prometheus.io/docs/alerting/latest/configuration, "Label matchers".
struct AlertMatcher {
    enum Operation: String, CaseIterable {
        case equal = "="
        case differs = "!="
        case matches = "=~"
        case doesNotMatch = "!~"
    }

    let name: String
    let operation: Operation
    let value: String
    /// Of the two that have one.
    private let expression: Regex<AnyRegexOutput>?

    init(_ name: String, _ operation: Operation, _ value: String) throws(BadMatcher) {
        self.name = name
        self.operation = operation
        self.value = value
        switch operation {
        case .equal, .differs: self.expression = nil
        case .matches, .doesNotMatch:
            guard let expression = try? Regex("(?:\(value))") else { throw BadMatcher(text: value) }
            self.expression = expression
        }
    }

    func takes(_ labels: [String: String]) -> Bool {
        let label = labels[self.name] ?? ""
        return switch self.operation {
        case .equal: label == self.value
        case .differs: label != self.value
        case .matches: self.isWhole(label)
        case .doesNotMatch: !self.isWhole(label)
        }
    }

    private func isWhole(_ label: String) -> Bool {
        guard let expression = self.expression else {
            preconditionFailure("init made one for the operations that ask here")
        }
        return (try? expression.wholeMatch(in: label)) != nil
    }
}

/// A matcher that cannot be read, so that nobody knows where alerts go.
struct BadMatcher: Error, CustomStringConvertible {
    var text: String
    var description: String { "the matcher '\(self.text)' cannot be read" }
}

// MARK: Reading

extension AlertMatcher {
    /// One or several by commas, in braces or not.
    static func list(parsing text: String) throws(BadMatcher) -> [AlertMatcher] {
        var rest = text[...].trimmingBlanks
        if rest.hasPrefix("{"), rest.hasSuffix("}") { rest = rest.dropFirst().dropLast() }
        var matchers: [AlertMatcher] = []
        for part in Self.parts(rest) where !part.trimmingBlanks.isEmpty {
            matchers.append(try AlertMatcher(parsing: part.trimmingBlanks))
        }
        return matchers
    }

    /// Between commas that are not within quotes.
    private static func parts(_ text: Substring) -> [Substring] {
        var parts: [Substring] = []
        var (start, isQuoted, isEscaped) = (text.startIndex, false, false)
        for index in text.indices {
            if isEscaped {
                isEscaped = false
            } else if text[index] == "\\" {
                isEscaped = true
            } else if text[index] == "\"" {
                isQuoted.toggle()
            } else if text[index] == ",", !isQuoted {
                parts.append(text[start..<index])
                start = text.index(after: index)
            }
        }
        return parts + [text[start...]]
    }

    private init(parsing text: Substring) throws(BadMatcher) {
        guard let at = text.firstIndex(where: { $0 == "=" || $0 == "!" }) else {
            throw BadMatcher(text: String(text))
        }
        let name = Self.unquoted(text[..<at].trimmingBlanks)
        let sign = text[at...]
        // The longer ones first: `=~` begins with `=`.
        guard
            let operation = Operation.allCases.sorted(by: { $0.rawValue.count > $1.rawValue.count })
                .first(where: { sign.hasPrefix($0.rawValue) }),
            let name, !name.isEmpty,
            let value = Self.unquoted(sign.dropFirst(operation.rawValue.count).trimmingBlanks)
        else { throw BadMatcher(text: String(text)) }
        try self.init(name, operation, value)
    }

    /// nil: a quote that does not end, or one within.
    private static func unquoted(_ text: Substring) -> String? {
        guard text.hasPrefix("\"") else { return text.contains("\"") ? nil : String(text) }
        guard text.count >= 2, text.hasSuffix("\"") else { return nil }
        var (value, isEscaped) = ("", false)
        for character in text.dropFirst().dropLast() {
            if isEscaped {
                switch character {
                case "n": value.append("\n")
                case "\"", "\\": value.append(character)
                default: value += "\\" + String(character)
                }
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                return nil
            } else {
                value.append(character)
            }
        }
        return isEscaped ? nil : value
    }
}

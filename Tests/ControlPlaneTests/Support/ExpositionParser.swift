/// A strict reader of Prometheus' text format 0.0.4, as far as it can be broken by a writer.
struct ExpositionParser {
    struct Malformed: Error {
        var line: String
        var reason: String
    }

    struct Series: Hashable {
        var name: String
        /// In the order of the line.
        var labels: [[String]]
    }

    private(set) var types: [String: String] = [:]
    private(set) var values: [Series: String] = [:]
    private(set) var order: [Series] = []
    private var family: String?
    private var helped: Set<String> = []

    init(_ text: String) throws {
        guard text.isEmpty || text.unicodeScalars.last == "\n" else {
            throw Malformed(line: "", reason: "no line feed at the end")
        }
        for line in text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            try self.read(String(line))
        }
    }

    private mutating func read(_ line: String) throws {
        if line.hasPrefix("#") {
            let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(
                String.init)
            guard words.count == 4 else { throw Malformed(line: line, reason: "comment") }
            if words[1] == "HELP" {
                guard self.helped.insert(words[2]).inserted else {
                    throw Malformed(line: line, reason: "second HELP")
                }
            } else {
                guard words[1] == "TYPE", self.types.updateValue(words[3], forKey: words[2]) == nil,
                    ["counter", "gauge", "histogram", "untyped"].contains(words[3])
                else { throw Malformed(line: line, reason: "TYPE") }
                self.family = words[2]
            }
            return
        }
        var rest = Substring(line).unicodeScalars
        let name = Self.name(&rest)
        var labels: [[String]] = []
        if rest.first == "{" {
            rest.removeFirst()
            while rest.first != "}" {
                let label = Self.name(&rest)
                guard !label.isEmpty, rest.popFirst() == "=", rest.popFirst() == "\"" else {
                    throw Malformed(line: line, reason: "label")
                }
                labels.append([label, try Self.value(&rest, line)])
                if rest.first == "," { rest.removeFirst() }
            }
            rest.removeFirst()
        }
        let series = Series(name: name, labels: labels)
        guard rest.popFirst() == " ", let number = Double(String(rest)), number.isFinite else {
            throw Malformed(line: line, reason: "value")
        }
        guard let family = self.family, name.hasPrefix(family),
            ["", "_bucket", "_sum", "_count"].contains(String(name.dropFirst(family.count)))
        else { throw Malformed(line: line, reason: "sample outside of its family") }
        guard self.values.updateValue(String(rest), forKey: series) == nil else {
            throw Malformed(line: line, reason: "series twice")
        }
        self.order.append(series)
    }

    private static func name(_ rest: inout Substring.UnicodeScalarView) -> String {
        var name = ""
        while let scalar = rest.first,
            scalar == "_" || scalar == ":" || scalar.properties.isAlphabetic
                || ("0"..."9").contains(scalar)
        {
            name.unicodeScalars.append(scalar)
            rest.removeFirst()
        }
        return name
    }

    private static func value(_ rest: inout Substring.UnicodeScalarView, _ line: String) throws -> String {
        var value = ""
        while let scalar = rest.popFirst() {
            switch scalar {
            case "\"": return value
            case "\\":
                switch rest.popFirst() {
                case "n": value += "\n"
                case "\\": value += "\\"
                case "\"": value += "\""
                default: throw Malformed(line: line, reason: "escape")
                }
            default: value.unicodeScalars.append(scalar)
            }
        }
        throw Malformed(line: line, reason: "open label value")
    }
}

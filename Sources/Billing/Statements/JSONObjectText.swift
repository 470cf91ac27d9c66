import Metering

/// A JSON object that is put together member by member, in their order; what is printed twice is the same
/// twice.
struct JSONObjectText {
    private var members = ""

    var text: String { "{" + self.members + "}" }

    mutating func add(_ name: String, text: String) { self.add(name, raw: Self.quoted(text)) }

    mutating func add(_ name: String, text: String?) {
        self.add(name, raw: text.map(Self.quoted) ?? "null")
    }

    mutating func add(_ name: String, number: some BinaryInteger) { self.add(name, raw: String(number)) }

    /// Dollars as a number, printed from whole cents; null without them.
    mutating func add(_ name: String, usdOfCents cents: Int64?) {
        self.add(
            name, raw: cents.map { ExactDecimal(coefficient: Int128($0), scale: 2).description } ?? "null")
    }

    /// `<name>Millicredits` as a string, `<name>Credits` and `<name>Usd` as numbers, as everywhere in the
    /// API.
    mutating func add(amount name: String, _ millicredits: Int128) {
        self.add("\(name)Millicredits", text: String(millicredits))
        self.add("\(name)Credits", raw: ExactDecimal(coefficient: millicredits, scale: 3).description)
        self.add("\(name)Usd", raw: ExactDecimal(coefficient: millicredits, scale: 6).description)
    }

    mutating func add(_ name: String, array: [JSONObjectText]) {
        self.add(name, raw: "[" + array.map(\.text).joined(separator: ",") + "]")
    }

    mutating func add(_ name: String, raw: String) {
        if !self.members.isEmpty { self.members += "," }
        self.members += Self.quoted(name) + ":" + raw
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            // Control characters, and the two line ends that scripts know and JSON does not.
            case "\u{0}"..."\u{1f}", "\u{7f}", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

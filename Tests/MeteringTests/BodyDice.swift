@testable import Metering

/// Makes good bodies with their members in any order, blanks anywhere, and escapes in keys.
struct BodyDice {
    private var dice: SplitMix64

    init(seed: UInt64) { self.dice = SplitMix64(state: seed) }

    mutating func pick<Element>(_ all: [Element]) -> Element {
        all[Int.random(in: 0..<all.count, using: &self.dice)]
    }

    private mutating func blank() -> String { self.pick(["", "", "", " ", "\n", "\t\r\n  "]) }

    /// A string literal in which some letters are escaped.
    mutating func name(_ text: String) -> String {
        guard Bool.random(using: &self.dice) else { return "\"\(text)\"" }
        let letters = text.unicodeScalars.map { scalar -> String in
            let digits = String(scalar.value, radix: 16)
            return Int.random(in: 0..<4, using: &self.dice) == 0
                ? "\\u" + String(repeating: "0", count: 4 - digits.count) + digits : String(scalar)
        }
        return "\"" + letters.joined() + "\""
    }

    mutating func object(_ members: [(String, String)]) -> String {
        let parts = members.shuffled(using: &self.dice).map { name, value in
            self.blank() + self.name(name) + self.blank() + ":" + self.blank() + value + self.blank()
        }
        return "{" + (parts.isEmpty ? self.blank() : parts.joined(separator: ",")) + "}"
    }

    private mutating func options() -> String {
        var members: [(String, String)] = []
        if Bool.random(using: &self.dice) {
            members.append(("include_usage", self.pick(["true", "false", "null"])))
        }
        if Bool.random(using: &self.dice) { members.append(("include_obfuscation", "false")) }
        return self.pick([self.object(members), "null"])
    }

    mutating func body(_ endpoint: InspectedEndpoint) -> String {
        var members = [
            ("model", "\"m\""), ("user", self.name("u}\u{7f}{,")), ("metadata", #"{"model":"x","n":[{}]}"#),
        ]
        var some = [
            ("stream", "true"), ("stream_options", self.options()), ("top_p", "0.5"),
            ("stop", #"["\\\"",":"]"#),
        ]
        switch endpoint {
        case .responses:
            members.append(("input", self.pick([#""x""#, #"[{"role":"user","content":"x"}]"#])))
            some.append(("max_output_tokens", self.pick(["null", "5"])))
            some.append(("max_tool_calls", self.pick(["null", "3"])))
            some.append(
                ("tools", self.pick(["null", "[]", #"[{"type":"web_search"}]"#, #"[{"type":"function"}]"#])))
            some.append(
                ("service_tier", self.pick(["null", self.name("auto"), self.name("flex"), "\"ultrafast\""])))
        case .completions:
            members.append(("prompt", self.pick([#""x""#, "[1]", "null"])))
            some.append(("max_tokens", self.pick(["null", "5"])))
            some.append(("service_tier", self.pick(["null", self.name("auto")])))
        default:
            members.append(("messages", #"[{"role":"user","content":"x"}]"#))
            some.append(("max_tokens", self.pick(["null", "5"])))
            some.append(("max_completion_tokens", self.pick(["null", "6"])))
            some.append(("prediction", self.pick(["null", #"{"type":"content","content":"x"}"#])))
            some.append(("service_tier", self.pick(["null", self.name("auto"), self.name("fast")])))
        }
        members += some.filter { _ in Bool.random(using: &self.dice) }
        return self.blank() + self.object(members) + self.blank()
    }
}

/// Makes JSON that a schema permits, so that SDKs which parse structured output find some.
enum SchemaFiller {
    /// The document in pieces of four characters: one token each.
    static func pieces(of schema: JSONTree) -> [String] {
        let all = Array(value(of: schema, in: schema, depth: 0).unicodeScalars)
        return stride(from: 0, to: all.count, by: 4).map { start in
            var piece = String.UnicodeScalarView()
            piece.append(contentsOf: all[start..<min(start + 4, all.count)])
            return String(piece)
        }
    }

    /// `text` as contents of a JSON string. What is filled in holds no control characters.
    static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { out.unicodeScalars.append("\\") }
            out.unicodeScalars.append(scalar)
        }
        return out
    }

    private static func value(of schema: JSONTree, in root: JSONTree, depth: Int) -> String {
        guard depth < 16 else { return "null" }
        if let reference = schema["$ref"].text {
            return value(of: resolve(reference, root), in: root, depth: depth + 1)
        }
        if let first = schema["enum"].elements?.first { return first.json }
        if schema["const"].isGiven { return schema["const"].json }
        if let first = schema["anyOf"].elements?.first { return value(of: first, in: root, depth: depth + 1) }
        if let first = schema["allOf"].elements?.first { return value(of: first, in: root, depth: depth + 1) }
        switch schema["type"].text ?? schema["type"].elements?.first?.text {
        case "string": return "\"tok\""
        case "integer": return "7"
        case "number": return "0.5"
        case "boolean": return "true"
        case "null": return "null"
        case "array": return "[\(value(of: schema["items"], in: root, depth: depth + 1))]"
        default:
            let members = (schema["properties"].members ?? []).map {
                "\"\($0.key)\":\(value(of: $0.value, in: root, depth: depth + 1))"
            }
            return "{" + members.joined(separator: ",") + "}"
        }
    }

    /// `#/$defs/Name`.
    private static func resolve(_ reference: String, _ root: JSONTree) -> JSONTree {
        reference.split(separator: "/").dropFirst().reduce(root) { $0[String($1)] }
    }
}

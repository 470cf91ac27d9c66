/// A JSON value as a tree, for the endpoints whose requests are small. Strings are raw contents, escapes as
/// they stand in the body, so that they can be written back between quotation marks.
indirect enum JSONTree {
    case absent, null
    case flag(Bool)
    /// As it was written.
    case number(String)
    case string(String)
    case array([JSONTree])
    case object([(key: String, value: JSONTree)])

    init(_ cursor: inout JSONCursor, depth: Int = 0) throws(JSONCursor.Malformed) {
        guard depth < JSONCursor.depthMax else { throw JSONCursor.Malformed() }
        switch try cursor.peek() {
        case UInt8(ascii: "{"):
            var members: [(key: String, value: JSONTree)] = []
            try cursor.members { (key, cursor) throws(JSONCursor.Malformed) in
                let name = String(decoding: cursor.bytes[key], as: UTF8.self)
                members.append((name, try JSONTree(&cursor, depth: depth + 1)))
            }
            self = .object(members)
        case UInt8(ascii: "["):
            var elements: [JSONTree] = []
            try cursor.elements { (cursor) throws(JSONCursor.Malformed) in
                elements.append(try JSONTree(&cursor, depth: depth + 1))
            }
            self = .array(elements)
        case UInt8(ascii: "\""):
            let range = try cursor.string()
            self = .string(String(decoding: cursor.bytes[range], as: UTF8.self))
        default:
            let range = try cursor.skipValue()
            let word = String(decoding: cursor.bytes[range], as: UTF8.self)
            self =
                word == "null"
                ? .null : word == "true" ? .flag(true) : word == "false" ? .flag(false) : .number(word)
        }
    }

    /// The member of that name; `.absent` also for what is no object.
    subscript(name: String) -> JSONTree {
        guard case .object(let members) = self else { return .absent }
        return members.last { $0.key == name }?.value ?? .absent
    }

    var text: String? { if case .string(let raw) = self { raw } else { nil } }
    var isTrue: Bool { if case .flag(true) = self { true } else { false } }
    var elements: [JSONTree]? { if case .array(let all) = self { all } else { nil } }
    var members: [(key: String, value: JSONTree)]? { if case .object(let all) = self { all } else { nil } }
    var integer: Int? { if case .number(let digits) = self { Int(digits) } else { nil } }
    var isGiven: Bool {
        switch self {
        case .absent, .null: false
        default: true
        }
    }

    /// Compact JSON; `null` for what is absent.
    var json: String {
        switch self {
        case .absent, .null: "null"
        case .flag(let value): value ? "true" : "false"
        case .number(let digits): digits
        case .string(let raw): "\"\(raw)\""
        case .array(let all): "[" + all.map(\.json).joined(separator: ",") + "]"
        case .object(let all): "{" + all.map { "\"\($0.key)\":\($0.value.json)" }.joined(separator: ",") + "}"
        }
    }

    /// Bytes of every string in it that is text for a model: not of media, ids and types.
    var textBytes: Int {
        switch self {
        case .string(let raw): raw.utf8.count
        case .array(let all): all.reduce(0) { $0 + $1.textBytes }
        case .object(let all):
            all.reduce(0) { sum, member in
                ["type", "role", "id", "status", "image_url", "file_data", "data"].contains(member.key)
                    ? sum : sum + member.value.textBytes
            }
        default: 0
        }
    }
}

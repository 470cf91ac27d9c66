/// Form-encoded parameters with Stripe's nesting: `a[b][0]=x`.
indirect enum FormValue: Equatable, Sendable {
    struct Field: Equatable, Sendable {
        var name: String
        var value: FormValue
    }

    case text(String)
    /// Lists are fields too, named "0", "1", …
    case fields([Field])

    static let none = FormValue.fields([])

    /// What a query string or a form body says. Later pairs of the same name win; pairs without `=` are
    /// empty.
    init(form: String) {
        self = .none
        for pair in form.split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let names = Self.names(Self.decoded(sides[0]))
            self.insert(sides.count > 1 ? Self.decoded(sides[1]) : "", at: names[...])
        }
    }

    /// The same from JSON, for the control paths. Null members are left out.
    init(_ json: JSON) {
        switch json {
        case .null: self = .text("")
        case .bool(let value): self = .text(value ? "true" : "false")
        case .int(let value): self = .text(String(value))
        case .text(let value): self = .text(value)
        case .list(let items):
            self = .fields(
                items.enumerated().map { Field(name: String($0.offset), value: FormValue($0.element)) })
        case .object(let object):
            self = .fields(
                object.members.filter { $0.value != .null }
                    .map { Field(name: $0.name, value: FormValue($0.value)) })
        }
    }

    var fields: [Field] {
        guard case .fields(let fields) = self else { return [] }
        return fields
    }

    subscript(name: String) -> FormValue? { self.fields.first { $0.name == name }?.value }

    /// For the log: every value as text.
    var json: JSON {
        switch self {
        case .text(let value): return .text(value)
        case .fields(let fields):
            return .object(JSONObject(members: fields.map { .init(name: $0.name, value: $0.value.json) }))
        }
    }

    private mutating func insert(_ text: String, at names: ArraySlice<String>) {
        guard var name = names.first else {
            self = .text(text)
            return
        }
        var fields = self.fields
        if name.isEmpty { name = String(fields.count) }
        let place = fields.firstIndex { $0.name == name } ?? fields.count
        if place == fields.count { fields.append(Field(name: name, value: .none)) }
        fields[place].value.insert(text, at: names.dropFirst())
        self = .fields(fields)
    }

    /// `a[b][]` → a, b and an empty name.
    private static func names(_ key: String) -> [String] {
        guard let open = key.firstIndex(of: "["), key.hasSuffix("]") else { return [key] }
        let inner = key[key.index(after: open)...].dropLast()
        return [String(key[..<open])]
            + inner.split(separator: "][", omittingEmptySubsequences: false).map(String.init)
    }

    /// Percent-decoding, with `+` as a space. A broken escape stays as it is.
    static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "+") {
                bytes.append(UInt8(ascii: " "))
            } else if byte == UInt8(ascii: "%"),
                let code = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
                rest.count >= 2
            {
                bytes.append(code)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

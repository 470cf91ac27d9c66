/// A value in one of Stripe's forms. Lists and tables become brackets:
/// `line_items[0][price_data][unit_amount]=999`.
public indirect enum FormValue: Sendable, Hashable {
    case text(String)
    case integer(Int64)
    case flag(Bool)
    case list([FormValue])
    case table(FormTable)
    /// The field is left out. (An empty text would mean "delete this field" to Stripe.)
    case absent

    public static func optional(_ text: String?) -> FormValue { text.map { .text($0) } ?? .absent }
    public static func optional(_ number: Int64?) -> FormValue { number.map { .integer($0) } ?? .absent }
    public static func texts(_ texts: [String]) -> FormValue { .list(texts.map { .text($0) }) }

    /// Metadata and its like; sorted, so that the same request is the same bytes when it is tried again.
    public static func map(_ entries: [String: String]) -> FormValue {
        var table = FormTable()
        for (name, value) in entries.sorted(by: { $0.key < $1.key }) { table[name] = .text(value) }
        return .table(table)
    }
}

/// Fields in the order in which they are sent.
public struct FormTable: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    private struct Field: Sendable, Hashable {
        var name: String
        var value: FormValue
    }

    private var fields: [Field] = []

    public init() {}

    public init(dictionaryLiteral elements: (String, FormValue)...) {
        self.fields = elements.map { Field(name: $0.0, value: $0.1) }
    }

    public var isEmpty: Bool { self.fields.isEmpty }

    /// A field set twice has its last value, at its first place.
    public subscript(name: String) -> FormValue {
        get { self.fields.first { $0.name == name }?.value ?? .absent }
        set {
            if let index = self.fields.firstIndex(where: { $0.name == name }) {
                self.fields[index].value = newValue
            } else {
                self.fields.append(Field(name: name, value: newValue))
            }
        }
    }

    /// `application/x-www-form-urlencoded`; the same text is a query.
    public var encoded: String {
        var pairs: [String] = []
        for field in self.fields { Self.append(field.value, name: field.name.formEncoded, to: &pairs) }
        return pairs.joined(separator: "&")
    }

    private static func append(_ value: FormValue, name: String, to pairs: inout [String]) {
        switch value {
        case .text(let text): pairs.append("\(name)=\(text.formEncoded)")
        case .integer(let number): pairs.append("\(name)=\(number)")
        case .flag(let flag): pairs.append("\(name)=\(flag)")
        case .list(let values):
            for (index, value) in values.enumerated() {
                Self.append(value, name: "\(name)[\(index)]", to: &pairs)
            }
        case .table(let table):
            for field in table.fields {
                Self.append(field.value, name: "\(name)[\(field.name.formEncoded)]", to: &pairs)
            }
        case .absent: break
        }
    }
}

extension FormValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    public init(stringLiteral value: String) { self = .text(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .flag(value) }
}

extension FormValue: ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    public init(arrayLiteral elements: FormValue...) { self = .list(elements) }

    public init(dictionaryLiteral elements: (String, FormValue)...) {
        var table = FormTable()
        for (name, value) in elements { table[name] = value }
        self = .table(table)
    }
}

extension String {
    /// Every byte but RFC 3986's unreserved ones as `%XX`; so brackets in a name of metadata stay part of
    /// that name.
    fileprivate var formEncoded: String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in self.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
            default: bytes += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

import Foundation

/// JSON of another party, in which a number is told from a string, and both from nothing.
enum JSONReading: Decodable, Sendable, Hashable {
    case null
    case flag(Bool)
    case integer(Int64)
    case decimal(Decimal)
    case text(String)
    case list([JSONReading])
    case object([String: JSONReading])

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let flag = try? value.decode(Bool.self) {
            self = .flag(flag)
        } else if let integer = try? value.decode(Int64.self) {
            self = .integer(integer)
        } else if let decimal = try? value.decode(Decimal.self) {
            self = .decimal(decimal)
        } else if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let list = try? value.decode([JSONReading].self) {
            self = .list(list)
        } else {
            self = .object(try value.decode([String: JSONReading].self))
        }
    }

    /// nil: not JSON.
    init?(parsing bytes: [UInt8]) {
        guard let value = try? JSONDecoder().decode(JSONReading.self, from: Data(bytes)) else { return nil }
        self = value
    }

    subscript(name: String) -> JSONReading? {
        guard case .object(let members) = self else { return nil }
        return members[name]
    }

    var list: [JSONReading]? { if case .list(let items) = self { items } else { nil } }
    var text: String? { if case .text(let text) = self { text } else { nil } }
    var integer: Int64? { if case .integer(let integer) = self { integer } else { nil } }

    var isNumber: Bool {
        switch self {
        case .integer, .decimal: true
        case .null, .flag, .text, .list, .object: false
        }
    }

    /// A whole number in a string, as amounts of millicredits are.
    var integerText: Int64? { self.text.flatMap { Int64($0) } }
}

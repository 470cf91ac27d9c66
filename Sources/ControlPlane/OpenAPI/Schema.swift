/// What a JSON value may be, in the words of JSON Schema 2020-12, the dialect of OpenAPI 3.1.
struct Schema: Sendable {
    let json: JSONValue

    private init(_ type: String, _ members: [(String, JSONValue)] = []) {
        self.json = .object([("type", .string(type))] + members)
    }

    private init(json: JSONValue) { self.json = json }

    // MARK: Plain values

    static let string = Schema("string")
    static let boolean = Schema("boolean")
    static let number = Schema("number")
    static let integer = Schema("integer", [("format", .string("int64"))])
    /// Anything at all.
    static let any = Schema(json: .object([]))

    static func string(_ bytes: ClosedRange<Int64>) -> Schema {
        Schema(
            "string", [("minLength", .integer(bytes.lowerBound)), ("maxLength", .integer(bytes.upperBound))])
    }

    static func string(pattern: String) -> Schema { Schema("string", [("pattern", .string(pattern))]) }
    static func string(format: String) -> Schema { Schema("string", [("format", .string(format))]) }

    /// One of the words of a closed enum.
    static func word<Value: RawRepresentable & CaseIterable>(_ type: Value.Type) -> Schema
    where Value.RawValue == String {
        Schema("string", [("enum", .array(Value.allCases.map { .string($0.rawValue) }))])
    }

    static func words(_ words: String...) -> Schema {
        Schema("string", [("enum", .array(words.map { .string($0) }))])
    }

    static func integer(_ range: ClosedRange<Int64>) -> Schema {
        Schema("integer", [("minimum", .integer(range.lowerBound)), ("maximum", .integer(range.upperBound))])
    }

    // MARK: Made of others

    static func array(_ items: Schema) -> Schema { Schema("array", [("items", items.json)]) }

    /// An object of any names whose values are alike.
    static func map(_ values: Schema) -> Schema { Schema("object", [("additionalProperties", values.json)]) }

    /// - Parameter isClosed: other members are refused.
    static func object(_ properties: [Property], isClosed: Bool = false) -> Schema {
        var members: [(String, JSONValue)] = [
            ("properties", .object(properties.map { ($0.name, $0.schema.json) }))
        ]
        let required = properties.filter(\.isRequired).map { JSONValue.string($0.name) }
        if !required.isEmpty { members.append(("required", .array(required))) }
        if isClosed { members.append(("additionalProperties", .bool(false))) }
        return Schema("object", members)
    }

    /// A page of a list (CONTRACT §5).
    static func page(_ entry: Schema) -> Schema {
        .object([.init("entries", .array(entry)), .init("nextCursor", .string.orNull)])
    }

    static func anyOf(_ schemas: Schema...) -> Schema {
        Schema(json: .object([("anyOf", .array(schemas.map(\.json)))]))
    }

    /// A schema of the document's components.
    static func named(_ name: Component) -> Schema {
        Schema(json: .object([("$ref", .string("#/components/schemas/\(name.rawValue)"))]))
    }

    var orNull: Schema { .anyOf(self, Schema("null")) }

    func described(_ text: String) -> Schema {
        guard case .object(let members) = self.json else { return self }
        return Schema(json: .object(members + [("description", .string(text))]))
    }
}

/// A member of an object.
struct Property: Sendable {
    var name: String
    var schema: Schema
    var isRequired: Bool

    init(_ name: String, _ schema: Schema, isRequired: Bool = true) {
        self.name = name
        self.schema = schema
        self.isRequired = isRequired
    }

    /// One that may be left out.
    static func optional(_ name: String, _ schema: Schema) -> Property {
        Property(name, schema, isRequired: false)
    }
}

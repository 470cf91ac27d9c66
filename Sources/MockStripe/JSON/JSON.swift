/// JSON that is shown in the order in which it was written, with whole numbers only: Stripe's amounts and
/// times are integers.
public indirect enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    case int(Int)
    case text(String)
    case list([JSON])
    case object(JSONObject)

    init(_ value: String?) { self = value.map { .text($0) } ?? .null }
    init(_ value: Int?) { self = value.map { .int($0) } ?? .null }
    init(_ value: [String]) { self = .list(value.map { .text($0) }) }
    /// Metadata, sorted by name.
    init(_ value: [String: String]) {
        let sorted = value.sorted { $0.key < $1.key }
        self = .object(JSONObject(members: sorted.map { .init(name: $0.key, value: .text($0.value)) }))
    }

    /// The member of an object; nil when this is none, or has no such member.
    public subscript(name: String) -> JSON? {
        get {
            guard case .object(let object) = self else { return nil }
            return object[name]
        }
        set {
            guard case .object(var object) = self else { return }
            object[name] = newValue
            self = .object(object)
        }
    }

    public var text: String? {
        guard case .text(let value) = self else { return nil }
        return value
    }

    public var int: Int? {
        guard case .int(let value) = self else { return nil }
        return value
    }

    public var list: [JSON]? {
        guard case .list(let items) = self else { return nil }
        return items
    }
}

/// Members in the order in which they were added.
public struct JSONObject: Equatable, Sendable {
    struct Member: Equatable, Sendable {
        var name: String
        var value: JSON
    }

    var members: [Member] = []

    subscript(name: String) -> JSON? {
        get { self.members.first { $0.name == name }?.value }
        set {
            let place = self.members.firstIndex { $0.name == name }
            switch (place, newValue) {
            case (let place?, let value?): self.members[place].value = value
            case (let place?, nil): self.members.remove(at: place)
            case (nil, let value?): self.members.append(Member(name: name, value: value))
            case (nil, nil): break
            }
        }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .text(value) }
    public init(integerLiteral value: Int) { self = .int(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: JSON...) { self = .list(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(JSONObject(members: elements.map { .init(name: $0.0, value: $0.1) }))
    }
}

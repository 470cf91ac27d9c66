/// A field that holds an id, or the whole object where the request asked for it.
struct ExpandableID: Decodable {
    private struct Object: Decodable { var id: String }

    var id: String

    init(from decoder: any Decoder) throws {
        if let id = try? decoder.singleValueContainer().decode(String.self) {
            self.id = id
        } else {
            self.id = try Object(from: decoder).id
        }
    }
}

/// The same, where the object itself matters: nil when only its id has come.
struct Expanded<Object: Decodable & Sendable>: Decodable, Sendable {
    var object: Object?

    init(from decoder: any Decoder) throws {
        if (try? decoder.singleValueContainer().decode(String.self)) != nil {
            self.object = nil
        } else {
            self.object = try Object(from: decoder)
        }
    }
}

extension KeyedDecodingContainer {
    func id(_ key: Key) throws -> String? { try self.decodeIfPresent(ExpandableID.self, forKey: key)?.id }

    /// Metadata; absent and null are empty.
    func texts(_ key: Key) throws -> [String: String] {
        try self.decodeIfPresent([String: String].self, forKey: key) ?? [:]
    }
}

/// Single values of a request, each of which may be of a wrong type.
extension ChatRequest {
    mutating func flag(
        _ cursor: inout JSONCursor, _ name: StaticString
    ) throws(JSONCursor.Malformed) -> Bool {
        let value = try cursor.skipValue()
        if cursor.matches(value, "true") { return true }
        if !cursor.matches(value, "false"), !cursor.matches(value, "null") { wrongParameter = name }
        return false
    }

    mutating func integer(
        _ cursor: inout JSONCursor, _ name: StaticString, least: Int
    ) throws(JSONCursor.Malformed) -> Int? {
        let value = try cursor.skipValue()
        if cursor.matches(value, "null") { return nil }
        guard let number = cursor.integer(value), number >= least else {
            wrongParameter = name
            return nil
        }
        return number
    }

    mutating func nullOnly(
        _ cursor: inout JSONCursor, _ name: StaticString
    ) throws(JSONCursor.Malformed) {
        let value = try cursor.skipValue()
        if !cursor.matches(value, "null") { wrongParameter = name }
    }

    mutating func wrong(
        _ name: StaticString, _ cursor: inout JSONCursor
    ) throws(JSONCursor.Malformed) {
        try cursor.skipValue()
        wrongParameter = name
    }
}

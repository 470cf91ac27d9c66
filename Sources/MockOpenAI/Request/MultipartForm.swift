import NIOCore

/// The fields of a `multipart/form-data` body as an object of strings. A file stands there as its
/// length in bytes.
enum MultipartForm {
    static func tree(_ body: ByteBuffer) throws(JSONCursor.Malformed) -> JSONTree {
        let bytes = Array(body.readableBytesView)
        guard let lineEnd = bytes.firstIndex(of: 13), lineEnd > 2 else { throw JSONCursor.Malformed() }
        let boundary = Array(bytes[..<lineEnd])
        var members: [(key: String, value: JSONTree)] = []
        var at = 0
        while let next = find(boundary, in: bytes, from: at + boundary.count) {
            let part = bytes[(at + boundary.count + 2)..<max(at + boundary.count + 2, next - 2)]
            if let gap = find([13, 10, 13, 10], in: Array(part), from: 0) {
                let head = String(decoding: part.prefix(gap), as: UTF8.self)
                let content = part.dropFirst(gap + 4)
                let value: JSONTree =
                    head.contains("filename=") ? .number("\(content.count)") : .string(text(content))
                members.append((name(in: head), value))
            }
            at = next
        }
        return .object(members)
    }

    private static func name(in head: String) -> String {
        let fields = head.split(separator: ";").map { $0.drop { $0 == " " } }
        guard let field = fields.first(where: { $0.hasPrefix("name=\"") }) else { return "" }
        return String(field.dropFirst(6).prefix { $0 != "\"" })
    }

    private static func text(_ content: ArraySlice<UInt8>) -> String {
        SchemaFiller.escaped(String(decoding: content.filter { $0 >= 0x20 }, as: UTF8.self))
    }

    private static func find(_ needle: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        bytes.withUnsafeBytes { haystack in
            var at = start
            while at + needle.count <= haystack.count {
                guard let hit = haystack[at...].firstIndex(of: needle[0]) else { return nil }
                if haystack[hit...].starts(with: needle) { return hit }
                at = hit + 1
            }
            return nil
        }
    }
}

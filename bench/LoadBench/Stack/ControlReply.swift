import Foundation

/// An answer to a control call, its transfer coding taken off.
public struct ControlReply: Sendable, Equatable {
    public var status: Int
    public var body: [UInt8]
    /// The connection cannot be used again.
    var isLast: Bool

    public var text: String { String(decoding: self.body, as: UTF8.self) }

    /// The JSON of a success; `what` names the call in the error.
    func decoded<Value: Decodable>(_ what: String) throws(StackError) -> Value {
        guard self.status == 200 || self.status == 201 else {
            throw .unexpected(what: what, status: self.status, body: self.text)
        }
        do {
            return try JSONDecoder().decode(Value.self, from: Data(self.body))
        } catch {
            throw .call(what: what, reason: "the answer is not what was expected: \(error)")
        }
    }
}

/// HTTP/1.1 replies, as far as our own servers write them: final ones, with a length, in chunks, or up to the end.
enum ControlReplyParser {
    enum Problem: Error, Equatable {
        case noStatus
        case badLength
        case badChunk
        case tooLarge
        /// The connection ended in the middle.
        case cut
    }

    static let bytesMax = 64 << 20

    /// The reply that `bytes` begin with; nil when more is to come.
    ///
    /// - Parameter isEnd: no more will come.
    static func parse(_ bytes: [UInt8], isEnd: Bool) throws(Problem) -> ControlReply? {
        guard bytes.count <= self.bytesMax else { throw .tooLarge }
        guard let headEnd = self.headEnd(bytes) else {
            if isEnd { throw .cut }
            return nil
        }
        let head = try Head(parsing: String(decoding: bytes[..<headEnd], as: UTF8.self))
        let rest = bytes[headEnd...]
        let body: [UInt8]?
        if head.isChunked {
            body = try self.chunks(rest)
        } else if let length = head.length {
            body = rest.count >= length ? Array(rest.prefix(length)) : nil
        } else {
            body = isEnd ? Array(rest) : nil
        }
        if let body {
            let isLast = isEnd || head.closes || (!head.isChunked && head.length == nil)
            return ControlReply(status: head.status, body: body, isLast: isLast)
        }
        if isEnd { throw .cut }
        return nil
    }

    private struct Head {
        var status: Int
        var length: Int?
        var isChunked = false
        var closes = false

        init(parsing text: String) throws(Problem) {
            let lines = text.components(separatedBy: "\r\n")
            let words = lines[0].split(separator: " ")
            guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
                throw .noStatus
            }
            self.status = status
            for line in lines.dropFirst() {
                guard let colon = line.firstIndex(of: ":") else { continue }
                let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
                switch line[..<colon].lowercased() {
                case "content-length":
                    guard let length = Int(value), length >= 0 else { throw .badLength }
                    self.length = length
                case "transfer-encoding": self.isChunked = value.lowercased() == "chunked"
                case "connection": self.closes = value.lowercased() == "close"
                default: break
                }
            }
            if status == 204 || status == 304 { self.length = 0 }
        }
    }

    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        var index = 3
        while index < bytes.count {
            if bytes[index] == 10, bytes[index - 1] == 13, bytes[index - 2] == 10, bytes[index - 3] == 13 {
                return index + 1
            }
            index += 1
        }
        return nil
    }

    /// nil when the last chunk, with the empty line after it, is not there yet.
    private static func chunks(_ bytes: ArraySlice<UInt8>) throws(Problem) -> [UInt8]? {
        var body: [UInt8] = []
        var rest = bytes
        while let line = rest.firstIndex(of: 10) {
            let digits = rest[rest.startIndex..<line].prefix { $0 != 13 && $0 != UInt8(ascii: ";") }
            guard let size = Int(String(decoding: digits, as: UTF8.self), radix: 16), size >= 0,
                size <= self.bytesMax
            else { throw .badChunk }
            let start = line + 1
            // Our servers write no trailers: the line after the last chunk is empty.
            guard rest.endIndex - start >= size + 2 else { return nil }
            guard rest[start + size] == 13, rest[start + size + 1] == 10 else { throw .badChunk }
            if size == 0 { return body }
            body += rest[start..<(start + size)]
            rest = rest[(start + size + 2)...]
        }
        return nil
    }
}

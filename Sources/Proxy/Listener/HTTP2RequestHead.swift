import NIOCore
import NIOHPACK

/// A request's HEADERS as the head of an HTTP/1.1 message, so that the one strict parser judges it. Nothing that
/// would read as something else there passes: that is how requests are smuggled through gateways that downgrade.
struct HTTP2RequestHead {
    let isHead: Bool
    /// The body has no announced length and is framed in chunks.
    let isChunked: Bool
    let bytes: ByteBuffer

    /// nil: malformed (RFC 9113 §8.1.1); the stream is reset.
    init?(_ headers: HPACKHeaders, endStream: Bool, allocator: ByteBufferAllocator) {
        var method: String?
        var path: String?
        var authority: String?
        var fields = allocator.buffer(capacity: 512)
        var cookies: [String] = []
        var hasLength = false
        for (name, value, _) in headers {
            switch name {
            case ":method":
                guard Self.set(&method, value) else { return nil }
            case ":path":
                guard Self.set(&path, value) else { return nil }
            case ":authority":
                guard Self.set(&authority, value) else { return nil }
            case ":scheme":
                guard value == "https" || value == "http" else { return nil }
            case "host":
                // Two names of the same place must agree.
                guard authority == nil || authority == value else { return nil }
                if authority == nil { authority = value }
            case "cookie":
                guard Self.isValue(value) else { return nil }
                cookies.append(value)
            case "te":
                guard value == "trailers" else { return nil }
            case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
                return nil
            default:
                guard Self.isName(name), Self.isValue(value) else { return nil }
                if name == "content-length" { hasLength = true }
                fields.writeString("\(name): \(value)\r\n")
            }
        }
        guard let method, let path, let authority, Self.isMethod(method), Self.isTarget(path),
            Self.isValue(authority), !authority.isEmpty
        else { return nil }
        self.isHead = method == "HEAD"
        self.isChunked = !endStream && !hasLength
        var bytes = allocator.buffer(capacity: fields.readableBytes + path.utf8.count + 128)
        bytes.writeString("\(method) \(path) HTTP/1.1\r\nhost: \(authority)\r\n")
        bytes.writeBuffer(&fields)
        if !cookies.isEmpty { bytes.writeString("cookie: \(cookies.joined(separator: "; "))\r\n") }
        if self.isChunked { bytes.writeStaticString("transfer-encoding: chunked\r\n") }
        bytes.writeStaticString("\r\n")
        self.bytes = bytes
    }

    private static func set(_ slot: inout String?, _ value: String) -> Bool {
        guard slot == nil else { return false }
        slot = value
        return true
    }

    private static func isMethod(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy(Characters.isToken)
    }

    private static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { Characters.isToken($0) && !(0x41...0x5a).contains($0) }
    }

    private static func isTarget(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
    }

    private static func isValue(_ text: String) -> Bool {
        func isBlank(_ byte: UInt8?) -> Bool { byte == 0x20 || byte == 0x09 }
        return !isBlank(text.utf8.first) && !isBlank(text.utf8.last)
            && text.utf8.allSatisfy(Characters.isFieldValue)
    }
}

/// Scheme, host and port of a web address: what two addresses must share to be the same site.
public struct WebOrigin: Sendable, Hashable, CustomStringConvertible {
    public enum Scheme: String, Sendable, Hashable {
        case http, https
    }

    public let scheme: Scheme
    /// Lower case; an IPv6 address in its brackets.
    public let host: String
    public let port: UInt16

    /// `https://app.example.com` or `http://localhost:3000`; nil for anything more, also for a path of `/`.
    public init?(_ text: String) {
        guard let address = try? WebAddress(text), address.rest.isEmpty else { return nil }
        self = address.origin
    }

    init(scheme: Scheme, host: String, port: UInt16) {
        self.scheme = scheme
        self.host = host
        self.port = port
    }

    /// Only there may money be talked about without TLS.
    public var isLoopback: Bool {
        self.host == "localhost" || self.host == "[::1]" || self.host == "127.0.0.1"
    }

    public var description: String {
        let isDefault = self.port == (self.scheme == .https ? 443 : 80)
        return "\(self.scheme.rawValue)://\(self.host)" + (isDefault ? "" : ":\(self.port)")
    }
}

/// An address as browsers read it, as far as it reads the same to everybody; anything else is refused, not repaired.
struct WebAddress: Sendable, Hashable {
    let origin: WebOrigin
    /// From the first byte behind host and port: empty, or begins with `/` or `?`.
    let rest: String

    enum Defect: Error, Sendable, Hashable {
        case tooLong
        /// Blank, control character, backslash, quotation mark, non-ASCII, or a `%` that is no escape.
        case forbiddenCharacter
        /// Neither `http://` nor `https://`.
        case scheme
        /// `user@host`: what looks like the host is not.
        case userInfo
        case host
        case port
        /// What is behind a `#` is never sent anywhere, so nothing may depend on it.
        case fragment
    }

    static let bytesMax = 2048

    init(_ text: String) throws(Defect) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.bytesMax else { throw .tooLong }
        guard Self.areAllowed(bytes) else { throw .forbiddenCharacter }
        guard !bytes.contains(UInt8(ascii: "#")) else { throw .fragment }
        let (scheme, start) = try Self.scheme(bytes)
        let end =
            bytes[start...].firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? bytes.count
        let authority = bytes[start..<end]
        guard !authority.contains(UInt8(ascii: "@")) else { throw .userInfo }
        let (host, port) = try Self.hostAndPort(authority)
        self.origin = WebOrigin(
            scheme: scheme, host: String(decoding: host, as: UTF8.self).lowercased(),
            port: port ?? (scheme == .https ? 443 : 80))
        self.rest = String(decoding: bytes[end...], as: UTF8.self)
    }

    /// RFC 3986's characters, and the braces of Stripe's template, which `ReturnURLs` looks at.
    private static let punctuation = Set("-._~:/?#[]@!$&'()*+,;=%{}".utf8)

    private static func areAllowed(_ bytes: [UInt8]) -> Bool {
        for (at, byte) in bytes.enumerated() {
            guard Self.isAlphanumeric(byte) || Self.punctuation.contains(byte) else { return false }
            guard byte == UInt8(ascii: "%") else { continue }
            guard at + 2 < bytes.count, Self.isHex(bytes[at + 1]), Self.isHex(bytes[at + 2]) else {
                return false
            }
        }
        return true
    }

    private static func scheme(_ bytes: [UInt8]) throws(Defect) -> (WebOrigin.Scheme, start: Int) {
        for scheme in [WebOrigin.Scheme.https, .http] {
            let prefix = Array("\(scheme.rawValue)://".utf8)
            let head = bytes.prefix(prefix.count).map { 65...90 ~= $0 ? $0 | 0x20 : $0 }
            if head == prefix { return (scheme, prefix.count) }
        }
        throw .scheme
    }

    private static func hostAndPort(
        _ authority: ArraySlice<UInt8>
    ) throws(Defect) -> (ArraySlice<UInt8>, UInt16?) {
        var hostEnd = authority.firstIndex(of: UInt8(ascii: ":")) ?? authority.endIndex
        if authority.first == UInt8(ascii: "[") {
            guard let close = authority.firstIndex(of: UInt8(ascii: "]")) else { throw .host }
            hostEnd = close + 1
            let inner = authority[(authority.startIndex + 1)..<close]
            guard !inner.isEmpty, inner.allSatisfy({ Self.isHex($0) || $0 == UInt8(ascii: ":") }) else {
                throw .host
            }
        } else {
            try Self.checkName(authority[..<hostEnd])
        }
        guard hostEnd < authority.endIndex else { return (authority, nil) }
        guard authority[hostEnd] == UInt8(ascii: ":") else { throw .host }
        return (authority[..<hostEnd], try Self.port(authority[(hostEnd + 1)...]))
    }

    /// Letters, digits and hyphens between single dots: no escapes, no dot at the end that would make it another host.
    private static func checkName(_ name: ArraySlice<UInt8>) throws(Defect) {
        let labels = name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        for label in labels {
            guard 1...63 ~= label.count,
                label.allSatisfy({ Self.isAlphanumeric($0) || $0 == UInt8(ascii: "-") })
            else { throw .host }
        }
    }

    private static func port(_ digits: ArraySlice<UInt8>) throws(Defect) -> UInt16 {
        guard 1...5 ~= digits.count, digits.allSatisfy({ 48...57 ~= $0 }),
            let port = UInt16(String(decoding: digits, as: UTF8.self)), port > 0
        else { throw .port }
        return port
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        48...57 ~= byte || 65...90 ~= byte || 97...122 ~= byte
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        48...57 ~= byte || 65...70 ~= byte || 97...102 ~= byte
    }
}

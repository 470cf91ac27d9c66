/// Where requests go: scheme, host and port, with a path in front of every target. Checked once, when
/// settings are read, so that a typing error cannot send a secret to a place it was not made for.
public struct OutboundBase: Sendable, Hashable, CustomStringConvertible {
    public enum Problem: Error, Sendable, Hashable {
        case notAURL
        /// Only `https`, and `http` to this very host.
        case scheme
        case plainHTTPToAnotherHost
        /// `user:password@`, which would end up in logs.
        case userInfo
        case queryOrFragment
    }

    /// Where `http` may lead.
    public enum PlainHTTP: Sendable {
        case toThisMachine
        /// For requests that hold no secret.
        case anywhere
    }

    public let isTLS: Bool
    /// `host` or `host:port`, as it was written.
    public let authority: String
    /// Without a slash at its end; empty in most cases.
    public let path: String

    /// - Parameter text: such as `https://api.stripe.com` or `http://127.0.0.1:12111`.
    public init(parsing text: String, plainHTTP: PlainHTTP = .toThisMachine) throws(Problem) {
        guard let schemeEnd = text.firstRange(of: "://") else { throw .notAURL }
        let scheme = text[..<schemeEnd.lowerBound].lowercased()
        guard scheme == "https" || scheme == "http" else { throw .scheme }
        let rest = text[schemeEnd.upperBound...]
        guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }) else {
            throw .notAURL
        }
        guard !rest.contains("?"), !rest.contains("#") else { throw .queryOrFragment }
        let authority = rest.prefix { $0 != "/" }
        guard !authority.contains("@") else { throw .userInfo }
        guard let host = Self.host(of: authority) else { throw .notAURL }
        guard scheme == "https" || plainHTTP == .anywhere || Self.isLoopback(host) else {
            throw .plainHTTPToAnotherHost
        }
        var path = rest.dropFirst(authority.count)
        while path.last == "/" { path.removeLast() }
        self.isTLS = scheme == "https"
        self.authority = String(authority)
        self.path = String(path)
    }

    public var description: String { (self.isTLS ? "https://" : "http://") + self.authority + self.path }

    private static func host(of authority: Substring) -> Substring? {
        var host = authority
        var port: Substring?
        if authority.first == "[" {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            host = authority[authority.index(after: authority.startIndex)..<end]
            let rest = authority[authority.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else { return nil }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            port = authority[authority.index(after: colon)...]
        }
        if let port {
            guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(port),
                (1...65535).contains(number)
            else { return nil }
        }
        return host.isEmpty ? nil : host
    }

    private static func isLoopback(_ host: Substring) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        // A name such as `127.evil.example` is not an address.
        let parts = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return parts.count == 4 && parts[0] == 127 && parts.allSatisfy { $0 != nil }
    }
}

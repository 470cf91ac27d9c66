import Metering

/// Where the upstream is: scheme, host, port and the path that goes before an endpoint's own.
public struct UpstreamOrigin: Sendable, Hashable {
    public let isTLS: Bool
    public let host: String
    public let port: Int
    /// Without a trailing slash, such as `/v1`.
    public let basePath: String
    /// Targets, by endpoint.
    private let paths: [InspectedEndpoint: [UInt8]]
    /// Value of `Host` with its line end, such as `api.openai.com\r\n`.
    let hostField: [UInt8]

    public enum ParseFailure: Error, Sendable, Equatable, CustomStringConvertible {
        case scheme, host, port, path

        public var description: String {
            switch self {
            case .scheme: "must begin with https:// or http://"
            case .host: "has no valid host"
            case .port: "has no valid port"
            case .path: "must have a plain path such as /v1, without query or fragment"
            }
        }
    }

    /// Reads `https://host[:port][/path]`.
    public static func parse(_ text: String) throws(ParseFailure) -> UpstreamOrigin {
        let isTLS = text.hasPrefix("https://")
        guard isTLS || text.hasPrefix("http://") else { throw .scheme }
        let rest = text.dropFirst(isTLS ? 8 : 7)
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        var path = String(rest.dropFirst(authority.count))
        while path.hasSuffix("/") { path.removeLast() }
        let pathIsPlain = path.utf8.allSatisfy { byte in
            Characters.isToken(byte) && byte != UInt8(ascii: "#") || byte == UInt8(ascii: "/")
        }
        guard pathIsPlain, !path.contains("//"), path.isEmpty || path.hasPrefix("/") else { throw .path }
        let (host, port) = try self.hostAndPort(authority, isTLS: isTLS)
        return UpstreamOrigin(isTLS: isTLS, host: host, port: port, basePath: path)
    }

    private static func hostAndPort(
        _ authority: Substring, isTLS: Bool
    ) throws(ParseFailure) -> (String, Int) {
        var host = authority
        var port = isTLS ? 443 : 80
        let colon = authority.lastIndex(of: ":")
        let bracket = authority.lastIndex(of: "]")
        if let colon, bracket.map({ colon > $0 }) ?? true {
            let digits = authority[authority.index(after: colon)...]
            // `Int` alone would take a sign.
            guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(digits),
                (1...65535).contains(number)
            else { throw .port }
            port = number
            host = authority[..<colon]
        }
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        if isBracketed { host = host.dropFirst().dropLast() }
        // Colons stand only in an address in brackets; without them it is not clear where a port begins.
        let allowed = host.utf8.allSatisfy { byte in
            Characters.isToken(byte) && byte != UInt8(ascii: "%") || isBracketed && byte == UInt8(ascii: ":")
        }
        guard !host.isEmpty, host.utf8.count <= 253, allowed else { throw .host }
        return (String(host), port)
    }

    private init(isTLS: Bool, host: String, port: Int, basePath: String) {
        self.isTLS = isTLS
        self.host = host
        self.port = port
        self.basePath = basePath
        self.paths = Dictionary(
            uniqueKeysWithValues: InspectedEndpoint.allCases.map { endpoint in
                (endpoint, Array((basePath + Self.path(endpoint)).utf8))
            })
        let name = host.contains(":") ? "[\(host)]" : host
        let isDefault = port == (isTLS ? 443 : 80)
        self.hostField = Array((isDefault ? "\(name)\r\n" : "\(name):\(port)\r\n").utf8)
    }

    /// The target of a request to this endpoint.
    func target(of endpoint: InspectedEndpoint) -> [UInt8] {
        guard let path = self.paths[endpoint] else { preconditionFailure("init makes one for each") }
        return path
    }

    private static func path(_ endpoint: InspectedEndpoint) -> String {
        switch endpoint {
        case .chat: "/chat/completions"
        case .responses: "/responses"
        case .completions: "/completions"
        case .embeddings: "/embeddings"
        case .moderations: "/moderations"
        case .images: "/images/generations"
        case .speech: "/audio/speech"
        case .transcriptions: "/audio/transcriptions"
        case .translations: "/audio/translations"
        }
    }
}

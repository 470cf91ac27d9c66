import Metering

/// Where Redis is and how to get in: `redis://[user:password@]host[:port][/database]`, or `rediss://` for
/// TLS.
public struct RedisAddress: Sendable, Hashable {
    public var host: String
    public var port: Int
    public var usesTLS: Bool
    public var user: String?
    public var password: RedisPassword?
    public var database: Int

    /// Reads `REDIS_URL`.
    public init(url: String) throws(RedisAddressProblem) {
        guard !url.contains(",") else { throw .clusterNotSupported }
        var rest: Substring
        if url.hasPrefix("redis://") {
            (self.usesTLS, rest) = (false, url.dropFirst("redis://".count))
        } else if url.hasPrefix("rediss://") {
            (self.usesTLS, rest) = (true, url.dropFirst("rediss://".count))
        } else {
            throw .unknownScheme
        }
        (self.user, self.password) = (nil, nil)
        if let at = rest.lastIndex(of: "@") {
            let credentials = rest[..<at].split(
                separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            rest = rest[rest.index(after: at)...]
            guard credentials.count == 2, let user = Self.unescaped(credentials[0]),
                let password = Self.unescaped(credentials[1])
            else { throw .malformedCredentials }
            self.user = user.isEmpty ? nil : user
            self.password = RedisPassword(password)
        }
        let parts = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        self.database = 0
        if parts.count == 2, !parts[1].isEmpty {
            guard let number = Int(parts[1]), (0..<65536).contains(number) else { throw .malformedDatabase }
            self.database = number
        }
        (self.host, self.port) = try Self.hostAndPort(parts[0])
    }

    private static func hostAndPort(_ text: Substring) throws(RedisAddressProblem) -> (String, Int) {
        let host: Substring
        var port: Substring?
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { throw .malformedHost }
            host = text[text.index(after: text.startIndex)..<end]
            let tail = text[text.index(after: end)...]
            guard tail.isEmpty || tail.first == ":" else { throw .malformedHost }
            if !tail.isEmpty { port = tail.dropFirst() }
        } else {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2 else { throw .malformedHost }
            host = parts[0]
            if parts.count == 2 { port = parts[1] }
        }
        guard !host.isEmpty else { throw .malformedHost }
        guard let port else { return (String(host), 6379) }
        guard let number = Int(port), (1...65535).contains(number) else { throw .malformedPort }
        return (String(host), number)
    }

    private static func unescaped(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// A secret that no log prints.
public struct RedisPassword: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible {
    let text: String
    init(_ text: String) { self.text = text }
    public var description: String { "***" }
    public var debugDescription: String { "***" }
}

/// What is wrong with `REDIS_URL`; never quotes it, since it may hold a password.
public enum RedisAddressProblem: Error, Sendable, Hashable, CustomStringConvertible {
    case clusterNotSupported, unknownScheme, malformedCredentials, malformedHost, malformedPort,
        malformedDatabase

    public var description: String {
        switch self {
        case .clusterNotSupported:
            "REDIS_URL names several hosts: Redis Cluster is not supported by this release, name one host"
        case .unknownScheme: "REDIS_URL must begin with redis:// or rediss://"
        case .malformedCredentials: "the credentials in REDIS_URL are not user:password@, percent-encoded"
        case .malformedHost: "the host in REDIS_URL cannot be read"
        case .malformedPort: "the port in REDIS_URL is not a number from 1 to 65535"
        case .malformedDatabase: "the database in REDIS_URL is not a number from 0 to 65535"
        }
    }
}

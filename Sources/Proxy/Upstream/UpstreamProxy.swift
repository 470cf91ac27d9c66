/// The HTTP proxy between Tollgate and the upstream, as the environment names it.
public struct UpstreamProxy: Sendable, Equatable {
    public let host: String
    public let port: Int
    /// `Basic …`; never printed.
    let authorization: String?

    /// A proxy setting that cannot be used. The value is not repeated: it may hold a password.
    public struct Problem: Error, Equatable, CustomStringConvertible {
        public let variable: String
        public var description: String { "must be http://[user:password@]host[:port]" }
    }

    /// The proxy for `origin`, or nil for the direct way. `HTTPS_PROXY` counts for https origins, `HTTP_PROXY` for
    /// http ones, in lower case first, as in curl; `NO_PROXY` names what is reached directly.
    ///
    /// - Parameter get: the environment.
    public static func of(
        _ origin: UpstreamOrigin, reading get: (String) -> String?
    ) throws(Problem) -> UpstreamProxy? {
        func first(_ names: [String]) -> (name: String, value: String)? {
            for name in names {
                if let value = get(name), !value.isEmpty { return (name, value) }
            }
            return nil
        }
        let names = origin.isTLS ? ["https_proxy", "HTTPS_PROXY"] : ["http_proxy", "HTTP_PROXY"]
        guard let setting = first(names) else { return nil }
        if let exceptions = first(["no_proxy", "NO_PROXY"]),
            NoProxy.covers(exceptions.value, host: origin.host, port: origin.port)
        {
            return nil
        }
        guard let proxy = UpstreamProxy(parsing: setting.value) else { throw Problem(variable: setting.name) }
        return proxy
    }

    init?(parsing text: String) {
        var rest = text[...]
        if let scheme = rest.firstRange(of: "://") {
            guard rest[..<scheme.lowerBound].lowercased() == "http" else { return nil }
            rest = rest[scheme.upperBound...]
        }
        if rest.hasSuffix("/") { rest.removeLast() }
        var authorization: String?
        if let at = rest.lastIndex(of: "@") {
            guard let credentials = Self.unescaped(rest[..<at]), credentials.contains(UInt8(ascii: ":"))
            else {
                return nil
            }
            authorization = "Basic " + Base64.text(credentials)
            rest = rest[rest.index(after: at)...]
        }
        // The same rules as for the upstream itself; its default port is not the one that proxies use.
        guard !rest.isEmpty, let origin = try? UpstreamOrigin.parse("http://\(rest)"), origin.basePath.isEmpty
        else { return nil }
        let namesPort = rest.last.map { $0 != "]" } ?? false && rest.contains(":") && !rest.hasSuffix("]")
        self.host = origin.host
        self.port = namesPort ? origin.port : 1080
        self.authorization = authorization
    }

    private static func unescaped(_ text: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var source = text.utf8[...]
        while let byte = source.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = source.popFirst(), let low = source.popFirst(),
                let code = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(code)
        }
        return bytes
    }
}

/// The rules of `NO_PROXY`: a list of names, suffixes (`.example.com`), addresses, networks, each with an optional
/// port (`[::1]:443`); `*` is everything.
enum NoProxy {
    static func covers(_ list: String, host: String, port: Int) -> Bool {
        let host = Self.withoutEndDot(host.lowercased()[...])
        let address = ClientAddress(parsing: host)
        return list.split(whereSeparator: { $0 == "," || $0.isWhitespace }).contains { entry in
            Self.covers(entry.lowercased()[...], host: host, port: port, address: address)
        }
    }

    private static func covers(
        _ entry: Substring, host: Substring, port: Int, address: ClientAddress?
    ) -> Bool {
        if entry == "*" { return true }
        if let address, let network = try? TrustedPeers(parsing: String(entry)) {
            return network.contains(address)
        }
        guard let (named, onlyPort) = Self.parts(entry), onlyPort == nil || onlyPort == port else {
            return false
        }
        if let address { return ClientAddress(parsing: named) == address }
        var name = Self.withoutEndDot(named)
        if name.hasPrefix("*") { name.removeFirst() }
        while name.hasPrefix(".") { name.removeFirst() }
        return !name.isEmpty && (host == name || host.hasSuffix("." + name))
    }

    /// `name`, `name:443`, `[::1]`, `[::1]:443`; nil for what is none of these.
    private static func parts(_ entry: Substring) -> (name: Substring, port: Int?)? {
        guard entry.hasPrefix("[") else {
            guard let colon = entry.lastIndex(of: ":"), let port = Int(entry[entry.index(after: colon)...])
            else { return (entry, nil) }
            return (entry[..<colon], port)
        }
        guard let end = entry.firstIndex(of: "]") else { return nil }
        let name = entry[..<end].dropFirst()
        let rest = entry[end...].dropFirst()
        if rest.isEmpty { return (name, nil) }
        guard rest.hasPrefix(":"), let port = Int(rest.dropFirst()) else { return nil }
        return (name, port)
    }

    /// `example.com.` is the same name, written to its end.
    private static func withoutEndDot(_ name: Substring) -> Substring {
        name.hasSuffix(".") ? name.dropLast() : name
    }
}

/// RFC 4648 §4; this target goes without Foundation.
enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func text(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let piece = bytes[start..<min(start + 3, bytes.count)]
            let word = piece.enumerated().reduce(0) { $0 | Int($1.element) << (16 - 8 * $1.offset) }
            for index in 0..<4 {
                out.append(
                    index <= piece.count ? self.alphabet[word >> (18 - 6 * index) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}

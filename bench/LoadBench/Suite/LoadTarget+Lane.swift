import Foundation
import NIOSSL

extension LoadTarget {
    /// - Throws: what OpenSSL says of the authority's file.
    init(_ lane: LaneTarget) throws {
        self.init(host: lane.host, port: lane.port, serverName: lane.caFile == nil ? nil : "localhost")
        if let file = lane.caFile { self.tls = try Self.context(authority: file) }
    }

    /// - Parameter baseURL: `http(s)://host[:port]`, with or without `/v1`.
    /// - Throws: `ScenarioError` of the URL, or what OpenSSL says of the authority's file.
    public init(baseURL: String, caFile: String?) throws {
        guard let url = URLComponents(string: baseURL), let host = url.host, !host.isEmpty,
            let scheme = url.scheme, ["http", "https"].contains(scheme),
            ["", "/", "/v1", "/v1/"].contains(url.path)
        else { throw ScenarioError("url", "\(baseURL) is not like https://host:port/v1") }
        let name = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        self.init(host: name, port: url.port ?? (scheme == "https" ? 443 : 80))
        if scheme == "https" { self.tls = try Self.context(authority: caFile) }
    }

    /// - Parameter authority: PEM file of the only certificates that are trusted; nil: the system's.
    public static func context(authority: String?) throws -> NIOSSLContext {
        var settings = TLSConfiguration.makeClientConfiguration()
        if let authority { settings.trustRoots = .file(authority) }
        settings.applicationProtocols = ["http/1.1"]
        return try NIOSSLContext(configuration: settings)
    }
}

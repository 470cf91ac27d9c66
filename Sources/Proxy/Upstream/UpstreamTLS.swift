import NIOSSL

/// TLS towards the upstream.
///
/// Sessions are not resumed: swift-nio-ssl 2.37 gives no way to keep a client's session (`SSL_get1_session` and
/// `SSL_set_session` are in its private copy of BoringSSL). Connections that are kept open, and HTTP/2, make full
/// handshakes rare instead.
enum UpstreamTLS {
    /// TLS 1.2 or newer, with full verification against the system's roots and, if given, the operator's.
    static func context(caFile: String?, http2: Bool) throws -> NIOSSLContext {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        tls.applicationProtocols = http2 ? ["h2", "http/1.1"] : ["http/1.1"]
        if let caFile { tls.additionalTrustRoots = [.file(caFile)] }
        return try NIOSSLContext(configuration: tls)
    }
}

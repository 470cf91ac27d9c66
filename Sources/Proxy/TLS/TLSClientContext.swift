import COpenSSL

/// What every TLS connection to the upstream has in common: whom it trusts, what it offers.
///
/// OpenSSL rather than swift-nio-ssl, because swift-nio-ssl 2.37 gives a client no way to keep a session, and so none
/// to resume one.
public final class TLSClientContext: Sendable {
    // SAFETY: changed in `init` only; OpenSSL counts and locks what connections of several threads share in it.
    private nonisolated(unsafe) let pointer: OpaquePointer

    /// Why there is no context.
    public enum Problem: Error, Sendable, Equatable, CustomStringConvertible {
        /// The file of roots cannot be read, or holds no certificate in PEM.
        case roots(file: String)
        case library

        public var description: String {
            switch self {
            case .roots(let file): "\(file) is not a readable file of certificates in PEM"
            case .library: "OpenSSL could not make a TLS context"
            }
        }
    }

    /// TLS 1.2 or newer, with full verification against the system's roots and, if given, the operator's.
    ///
    /// - Parameters:
    ///   - caFile: a PEM file of further roots.
    ///   - protocols: names for ALPN (RFC 7301), the preferred one first.
    public init(caFile: String?, protocols: [String]) throws(Problem) {
        guard copenssl_initialize() == 1, let pointer = SSL_CTX_new(TLS_client_method()) else {
            throw .library
        }
        self.pointer = pointer
        var offer: [UInt8] = []
        for name in protocols { offer += [UInt8(name.utf8.count)] + Array(name.utf8) }
        // `SSL_CTX_set_alpn_protos` alone answers 0 for success.
        guard copenssl_harden(pointer) == 1, SSL_CTX_set_default_verify_paths(pointer) == 1,
            SSL_CTX_set_alpn_protos(pointer, offer, UInt32(offer.count)) == 0
        else { throw .library }
        SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
        copenssl_give_sessions(pointer) { connection, session in
            TLSConnection.received(session: session, on: connection)
        }
        if let caFile, SSL_CTX_load_verify_file(pointer, caFile) != 1 {
            ERR_clear_error()
            throw .roots(file: caFile)
        }
    }

    deinit { SSL_CTX_free(self.pointer) }

    /// A connection's `SSL`, which the caller owns.
    func makeConnection() -> OpaquePointer? { SSL_new(self.pointer) }
}

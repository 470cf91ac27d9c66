import COpenSSL
import Glibc
import Synchronization

/// What every TLS connection of the listener has in common: what it offers, which certificate it shows, and what seals
/// its session tickets. One for the life of the process, so that tickets outlive a reload of certificates.
final class TLSServerContext: Sendable {
    // SAFETY: changed in `init` only; OpenSSL counts and locks what connections of several threads share in it.
    private nonisolated(unsafe) let pointer: OpaquePointer
    /// Names for ALPN as RFC 7301 writes them, the preferred one first.
    private let offer: [UInt8]
    private let choose: @Sendable (String?) -> TLSCertificate
    private let ticketKeys: Mutex<TicketKeys>
    private let now: @Sendable () -> Int

    /// OpenSSL could not make a context; there is no memory, or it was built without what we need.
    struct Unavailable: Error {}

    /// TLS 1.3 brings its own suites; of 1.2 only forward-secret ones with authenticated encryption.
    private static let suites = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ]

    /// - Parameters:
    ///   - protocols: names for ALPN, the preferred one first.
    ///   - now: seconds of a clock that does not jump; keys of tickets change by it.
    ///   - choose: the certificate for the name that a client asks for (SNI); called on the loops.
    init(
        protocols: [String], now: @escaping @Sendable () -> Int = TLSServerContext.monotonicSeconds,
        choose: @escaping @Sendable (String?) -> TLSCertificate
    ) throws(Unavailable) {
        guard copenssl_initialize() == 1, let pointer = SSL_CTX_new(TLS_server_method()) else {
            throw Unavailable()
        }
        self.pointer = pointer
        self.choose = choose
        self.now = now
        self.ticketKeys = Mutex(TicketKeys(now: now()))
        self.offer = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        guard copenssl_harden(pointer) == 1,
            SSL_CTX_set_cipher_list(pointer, Self.suites.joined(separator: ":")) == 1
        else { throw Unavailable() }
        copenssl_keep_no_sessions(pointer)
        copenssl_set_context_owner(pointer, Unmanaged.passUnretained(self).toOpaque())
        self.setCallbacks()
    }

    deinit { SSL_CTX_free(self.pointer) }

    static func monotonicSeconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec
    }

    private func setCallbacks() {
        SSL_CTX_set_cert_cb(
            self.pointer, { connection, _ in TLSServerContext.of(connection).certify(connection) }, nil)
        SSL_CTX_set_alpn_select_cb(
            self.pointer,
            { connection, chosen, chosenCount, offered, offeredCount, _ in
                TLSServerContext.of(connection).negotiate(chosen, chosenCount, offered, offeredCount)
            }, nil)
        _ = SSL_CTX_set_tlsext_ticket_key_evp_cb(self.pointer) {
            connection, name, vector, cipher, mac, seals in
            guard let name, let vector else { return -1 }
            let context = TLSServerContext.of(connection)
            let now = context.now()
            return context.ticketKeys.withLock { keys in
                seals == 1
                    ? keys.seal(name, vector, cipher, mac, now: now)
                    : keys.open(name, vector, cipher, mac, now: now)
            }
        }
    }

    /// A connection keeps its context alive, and the context is ours.
    private static func of(_ connection: OpaquePointer?) -> TLSServerContext {
        guard let connection, let owner = copenssl_context_owner(connection) else {
            preconditionFailure("a connection of a listener has its context")
        }
        return Unmanaged<TLSServerContext>.fromOpaque(owner).takeUnretainedValue()
    }

    /// A connection's `SSL`, which the caller owns.
    func makeConnection() -> OpaquePointer? { SSL_new(self.pointer) }

    /// 1: the certificate is in place.
    private func certify(_ connection: OpaquePointer?) -> Int32 {
        let name = SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) }
        return self.choose(name).use(on: connection) ? 1 : 0
    }

    /// A client that offers nothing of ours goes on without ALPN, which means HTTP/1.1.
    private func negotiate(
        _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?, _ chosenCount: UnsafeMutablePointer<UInt8>?,
        _ offered: UnsafePointer<UInt8>?, _ offeredCount: UInt32
    ) -> Int32 {
        var place: UnsafeMutablePointer<UInt8>?
        let outcome = self.offer.withUnsafeBufferPointer { ours in
            SSL_select_next_proto(
                &place, chosenCount, ours.baseAddress, UInt32(ours.count), offered, offeredCount)
        }
        guard outcome == OPENSSL_NPN_NEGOTIATED, let place else { return SSL_TLSEXT_ERR_NOACK }
        chosen?.pointee = UnsafePointer(place)
        return SSL_TLSEXT_ERR_OK
    }
}

import COpenSSL
import NIOCore

/// One client's side of TLS, without a socket: bytes of the network go in and come out of memory. Owns its `SSL`;
/// used only on its loop.
final class TLSClientConnection {
    /// What came of a step.
    enum Step: Equatable {
        case done
        /// Nothing more without bytes of the network.
        case needsBytes
        /// The peer has said its farewell (close_notify): its last byte came before.
        case ended
        case failed
    }

    private let pointer: OpaquePointer
    /// `SSL` owns both and frees them.
    private let fromNetwork: OpaquePointer
    private let toNetwork: OpaquePointer
    /// Called for each session that the peer gives, in the middle of `handshake` or `read`.
    var onSession: ((TLSSession) -> Void)?

    /// - Parameters:
    ///   - host: a name or an address; the peer's certificate must be for it.
    ///   - session: one that the same host gave under the same roots.
    init?(_ context: TLSClientContext, host: String, resuming session: TLSSession?) {
        guard let pointer = context.makeConnection() else { return nil }
        guard let fromNetwork = BIO_new(BIO_s_mem()), let toNetwork = BIO_new(BIO_s_mem()) else {
            SSL_free(pointer)
            return nil
        }
        self.pointer = pointer
        self.fromNetwork = fromNetwork
        self.toNetwork = toNetwork
        SSL_set_bio(pointer, fromNetwork, toNetwork)
        SSL_set_connect_state(pointer)
        copenssl_set_owner(pointer, Unmanaged.passUnretained(self).toOpaque())
        guard self.expect(host) else { return nil }
        // A session that does not fit costs a full handshake, nothing else.
        if let session, !session.resume(on: pointer) { ERR_clear_error() }
    }

    deinit { SSL_free(self.pointer) }

    /// The certificate must be for this host, by a subject alternative name (RFC 9110 §4.3.4); the common name says
    /// nothing.
    private func expect(_ host: String) -> Bool {
        SSL_set_hostflags(
            self.pointer,
            UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS) | UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT))
        if X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(self.pointer), host) == 1 { return true }
        ERR_clear_error()
        // The dot of a name that is fully qualified is not part of SNI (RFC 6066 §3), nor of certificates.
        let name = host.hasSuffix(".") ? String(host.dropLast()) : host
        return SSL_set1_host(self.pointer, name) == 1 && copenssl_set_server_name(self.pointer, name) == 1
    }

    // MARK: Steps

    /// `done` when the peer has proved who it is.
    func handshake() -> Step {
        ERR_clear_error()
        return self.step(SSL_do_handshake(self.pointer))
    }

    /// Appends what the peer said, up to the room that the buffer has. `done` means that there may be more.
    func read(into buffer: inout ByteBuffer) -> Step {
        ERR_clear_error()
        var result: Int32 = 0
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 1) { room in
            result = SSL_read(self.pointer, room.baseAddress, Int32(clamping: room.count))
            return max(0, Int(result))
        }
        return self.step(result)
    }

    /// Encrypts bytes; what goes to the network waits in `takeOutgoing`. After the handshake only.
    func write(_ bytes: ByteBuffer) -> Bool {
        guard bytes.readableBytes > 0 else { return true }
        ERR_clear_error()
        // Memory takes everything at once.
        return bytes.withUnsafeReadableBytes { bytes in
            SSL_write(self.pointer, bytes.baseAddress, Int32(clamping: bytes.count))
                == Int32(clamping: bytes.count)
        }
    }

    /// Says farewell. Nothing can be written after it.
    func sayFarewell() {
        ERR_clear_error()
        SSL_shutdown(self.pointer)
        ERR_clear_error()
    }

    private func step(_ result: Int32) -> Step {
        guard result <= 0 else { return .done }
        switch SSL_get_error(self.pointer, result) {
        case SSL_ERROR_WANT_READ: return .needsBytes
        case SSL_ERROR_ZERO_RETURN: return .ended
        default:
            ERR_clear_error()
            return .failed
        }
    }

    // MARK: The network's side

    func receive(_ bytes: ByteBuffer) {
        let taken = bytes.withUnsafeReadableBytes { bytes in
            BIO_write(self.fromNetwork, bytes.baseAddress, Int32(clamping: bytes.count))
        }
        precondition(Int(taken) == bytes.readableBytes, "memory takes what NIO reads at once")
    }

    /// As much as this, or less, waits to be read.
    var readableBytesBound: Int { BIO_ctrl_pending(self.fromNetwork) + Int(SSL_pending(self.pointer)) }

    /// What the peer must be sent, if anything.
    func takeOutgoing(_ allocator: ByteBufferAllocator) -> ByteBuffer? {
        let waiting = BIO_ctrl_pending(self.toNetwork)
        guard waiting > 0 else { return nil }
        var buffer = allocator.buffer(capacity: waiting)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: waiting) { room in
            max(0, Int(BIO_read(self.toNetwork, room.baseAddress, Int32(clamping: waiting))))
        }
        return buffer
    }

    // MARK: After the handshake

    /// The protocol that ALPN chose.
    var negotiated: String? {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        SSL_get0_alpn_selected(self.pointer, &name, &length)
        guard let name, length > 0 else { return nil }
        return String(decoding: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self)
    }

    var isResumed: Bool { SSL_session_reused(self.pointer) == 1 }

    /// OpenSSL's callback: 1 takes the session over.
    static func received(session: OpaquePointer?, on connection: OpaquePointer?) -> Int32 {
        guard let session, let connection, let owner = copenssl_owner(connection) else { return 0 }
        let connectionOfOurs = Unmanaged<TLSClientConnection>.fromOpaque(owner).takeUnretainedValue()
        connectionOfOurs.onSession?(TLSSession(owning: session))
        return 1
    }
}

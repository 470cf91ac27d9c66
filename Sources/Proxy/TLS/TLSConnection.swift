import COpenSSL
import NIOCore

/// One end of TLS, without a socket: bytes of the network go in and come out of memory. Owns its `SSL`; used only on its
/// loop.
final class TLSConnection {
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
    /// Asked by OpenSSL while the connection lives.
    private let context: AnyObject
    /// OpenSSL reads from it and writes to it while one of its calls runs.
    private let wire: UnsafeMutablePointer<copenssl_wire>
    /// Bytes of the network that OpenSSL has not taken.
    private var incoming = ByteBuffer()
    /// Called for each session that the peer gives, in the middle of `handshake` or `read`.
    var onSession: ((TLSSession) -> Void)?

    // SAFETY: made once, and only read from then on; nil when there was no memory for it.
    private nonisolated(unsafe) static let method: OpaquePointer? = copenssl_make_wire_method()

    private init?(_ pointer: OpaquePointer?, of context: AnyObject) {
        guard let pointer else { return nil }
        let wire = UnsafeMutablePointer<copenssl_wire>.allocate(capacity: 1)
        wire.initialize(to: copenssl_wire())
        guard let method = Self.method, let bio = copenssl_make_wire(method, wire) else {
            SSL_free(pointer)
            wire.deallocate()
            return nil
        }
        self.pointer = pointer
        self.context = context
        self.wire = wire
        // `SSL` owns it, once for both directions.
        SSL_set_bio(pointer, bio, bio)
        copenssl_set_owner(pointer, Unmanaged.passUnretained(self).toOpaque())
    }

    /// The client's end.
    ///
    /// - Parameters:
    ///   - host: a name or an address; the peer's certificate must be for it.
    ///   - session: one that the same host gave under the same roots.
    convenience init?(_ context: TLSClientContext, host: String, resuming session: TLSSession?) {
        self.init(context.makeConnection(), of: context)
        SSL_set_connect_state(self.pointer)
        guard self.expect(host) else { return nil }
        // A session that does not fit costs a full handshake, nothing else.
        if let session, !session.resume(on: self.pointer) { ERR_clear_error() }
    }

    /// The server's end.
    convenience init?(_ context: TLSServerContext) {
        self.init(context.makeConnection(), of: context)
        SSL_set_accept_state(self.pointer)
    }

    deinit {
        SSL_free(self.pointer)
        copenssl_wire_clear(self.wire)
        self.wire.deallocate()
    }

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

    /// `done` when both ends have said all that belongs to it.
    func handshake() -> Step {
        self.step { SSL_do_handshake(self.pointer) }
    }

    /// Appends what the peer said, up to the room that the buffer has. `done` means that there may be more.
    func read(into buffer: inout ByteBuffer) -> Step {
        self.step {
            var result: Int32 = 0
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 1) { room in
                result = SSL_read(self.pointer, room.baseAddress, Int32(clamping: room.count))
                return max(0, Int(result))
            }
            return result
        }
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

    /// Says farewell. Nothing can be written after it; the peer's last bytes can still be read.
    func sayFarewell() {
        ERR_clear_error()
        SSL_shutdown(self.pointer)
        ERR_clear_error()
    }

    /// Lends OpenSSL what came of the network, for one call.
    private func step(_ body: () -> Int32) -> Step {
        ERR_clear_error()
        var result: Int32 = 0
        self.incoming.readWithUnsafeReadableBytes { bytes in
            self.wire.pointee.in = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
            self.wire.pointee.in_count = bytes.count
            result = body()
            let left = self.wire.pointee.in_count
            self.wire.pointee.in = nil
            self.wire.pointee.in_count = 0
            return bytes.count - left
        }
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
        guard self.incoming.readableBytes > 0 else {
            self.incoming = bytes
            return
        }
        self.incoming.writeImmutableBuffer(bytes)
    }

    /// As much as this, or less, waits to be read. OpenSSL takes no more of the network's bytes than the record that it
    /// reads, so nothing waits behind none.
    var readableBytesBound: Int { self.incoming.readableBytes + Int(SSL_pending(self.pointer)) }

    /// Bytes of the network are here that are not read, be it not yet a whole record.
    var holdsPart: Bool {
        self.incoming.readableBytes > 0 || SSL_has_pending(self.pointer) == 1 || self.awaitsBody
    }

    /// Of a record nothing but its header has come: "RB". OpenSSL does not count that as pending.
    private var awaitsBody: Bool { SSL_rstate_string(self.pointer)[1] == CChar(UInt8(ascii: "B")) }

    /// Lets go of the network's buffer, which can then be read into again; false: there are bytes in it.
    func releaseEmptyBuffer() -> Bool {
        guard self.incoming.readableBytes == 0 else { return false }
        self.incoming = ByteBuffer()
        return true
    }

    /// Bytes that the peer must be sent.
    var outgoingCount: Int { self.wire.pointee.out_count }

    /// What the peer must be sent, if anything.
    ///
    /// In a buffer of its own: of a peer that does not read, thousands of small records may wait.
    ///
    /// - Parameter send: is offered all of it, and says how much it has sent; that is not in the buffer.
    func takeOutgoing(
        _ allocator: ByteBufferAllocator, _ send: (UnsafeRawBufferPointer) -> Int = { _ in 0 }
    ) -> ByteBuffer? {
        guard self.outgoingCount > 0 else { return nil }
        defer { copenssl_wire_clear(self.wire) }
        let outgoing = UnsafeRawBufferPointer(start: self.wire.pointee.out, count: self.outgoingCount)
        let rest = outgoing[send(outgoing)...]
        guard !rest.isEmpty else { return nil }
        var buffer = allocator.buffer(capacity: rest.count)
        buffer.writeBytes(rest)
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
        let connectionOfOurs = Unmanaged<TLSConnection>.fromOpaque(owner).takeUnretainedValue()
        connectionOfOurs.onSession?(TLSSession(owning: session))
        return 1
    }
}

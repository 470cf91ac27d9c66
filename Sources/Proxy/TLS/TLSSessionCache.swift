import COpenSSL
import Glibc

/// A session that an upstream gave: what a later handshake resumes instead of proving everything again.
final class TLSSession {
    private let pointer: OpaquePointer

    /// Owns the reference from here on.
    init(owning pointer: OpaquePointer) { self.pointer = pointer }
    deinit { SSL_SESSION_free(self.pointer) }

    /// A ticket of TLS 1.3 is used once (RFC 8446 §C.4), lest connections be linked by it.
    var isForOneUse: Bool { SSL_SESSION_get_protocol_version(self.pointer) >= TLS1_3_VERSION }

    /// - Parameter now: seconds since 1970.
    func isUsable(at now: Int) -> Bool {
        SSL_SESSION_is_resumable(self.pointer) == 1
            && SSL_SESSION_get_time(self.pointer) + SSL_SESSION_get_timeout(self.pointer) > now
    }

    func resume(on connection: OpaquePointer) -> Bool { SSL_set_session(connection, self.pointer) == 1 }
}

/// The newest sessions of one origin, under one set of roots: a session vouches for a certificate that was verified
/// when it began, so other roots need another cache. Used only on its loop.
final class TLSSessionCache {
    private var sessions: [TLSSession] = []
    /// A server gives two tickets with each connection of TLS 1.3.
    static let sessionsMax = 16

    var count: Int { self.sessions.count }

    func store(_ session: TLSSession) {
        self.sessions.append(session)
        if self.sessions.count > Self.sessionsMax { self.sessions.removeFirst() }
    }

    /// The newest that can still be resumed.
    func take(at now: Int = time(nil)) -> TLSSession? {
        while let newest = self.sessions.last {
            guard newest.isUsable(at: now) else {
                self.sessions.removeLast()
                continue
            }
            if newest.isForOneUse { self.sessions.removeLast() }
            return newest
        }
        return nil
    }
}

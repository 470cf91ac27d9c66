import Foundation
import Glibc
import Synchronization

/// A peer on plain blocking sockets, so that a test decides to the system call when it closes.
final class ClosingPeer: Sendable {
    let port: Int
    private let listener: CInt
    private let accepted = Mutex<CInt>(-1)

    struct SocketFailed: Error {}

    init() throws {
        let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 8) == 0
                    && getsockname(listener, $0, &size) == 0
            }
        }
        guard bound else { throw SocketFailed() }
        self.listener = listener
        self.port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { close(self.listener) }

    /// Accepts one connection and answers its first request.
    func answerFirst() async throws {
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            // SAFETY: a thread of its own, because the calls block; it ends with them.
            Thread.detachNewThread {
                let connection = accept(self.listener, nil, nil)
                // A child process of some other test would keep it open.
                _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
                var room = [UInt8](repeating: 0, count: 4096)
                let reply = Array("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".utf8)
                guard read(connection, &room, room.count) > 0,
                    write(connection, reply, reply.count) == reply.count
                else {
                    done.resume(throwing: SocketFailed())
                    return
                }
                self.accepted.withLock { $0 = connection }
                done.resume()
            }
        }
    }

    /// A full close: what arrives afterwards is answered by a reset.
    func closeNow() { _ = self.accepted.withLock { close($0) } }
}

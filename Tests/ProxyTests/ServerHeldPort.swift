import Glibc

/// A port that stays ours without being served; one that was merely free a moment ago may be another test's
/// by now.
final class HeldPort: Sendable {
    enum Behaviour: Sendable {
        /// Bound, and nobody listens: a connect fails at once.
        case refusing
        /// Its queue is full: a connect neither succeeds nor fails.
        case full
    }

    struct NoPort: Error {}

    let port: Int
    private let descriptors: [Int32]

    init(_ behaviour: Behaviour) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(listener, generic, length) == 0
                    && (behaviour == .refusing || listen(listener, 0) == 0)
                    && getsockname(listener, generic, &length) == 0
            }
        }
        guard listener >= 0, isBound else { throw NoPort() }
        var descriptors = [listener]
        // Nobody accepts, so a few connections fill the queue.
        for _ in 0..<(behaviour == .full ? 4 : 0) {
            let filler = socket(
                AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
            _ = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(filler, $0, length) }
            }
            descriptors.append(filler)
        }
        self.port = Int(UInt16(bigEndian: address.sin_port))
        self.descriptors = descriptors
    }

    func release() { for descriptor in self.descriptors { Glibc.close(descriptor) } }
}

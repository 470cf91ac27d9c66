import Glibc
import NIOCore
import NIOPosix

/// Asks the system for the addresses of a name, on a thread of its own: `getaddrinfo` blocks.
struct NameResolver: Sendable {
    /// Answers on any thread; empty when there is no answer.
    var resolve:
        @Sendable (_ host: String, _ port: Int, _ done: @escaping @Sendable ([SocketAddress]) -> Void) -> Void

    static let system = NameResolver { host, port, done in
        NIOThreadPool.singleton.submit { state in
            done(state == .active ? Self.addresses(of: host, port: port) : [])
        }
    }

    private static func addresses(of host: String, port: Int) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let info = next?.pointee {
            if let address = Self.address(info, host: host), !addresses.contains(address) {
                addresses.append(address)
            }
            next = info.ai_next
        }
        return addresses
    }

    private static func address(_ info: addrinfo, host: String) -> SocketAddress? {
        guard let raw = UnsafeRawPointer(info.ai_addr) else { return nil }
        switch info.ai_family {
        case AF_INET: return SocketAddress(raw.loadUnaligned(as: sockaddr_in.self), host: host)
        case AF_INET6: return SocketAddress(raw.loadUnaligned(as: sockaddr_in6.self), host: host)
        default: return nil
        }
    }
}

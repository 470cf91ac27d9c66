import Glibc
import Testing

/// A port on loopback at which nobody listens, and which nobody else can take meanwhile: bound, no more.
struct ClosedPort: ~Copyable {
    let number: Int
    private let descriptor: Int32

    init() throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = self.descriptor
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, size) == 0 && getsockname(descriptor, generic, &size) == 0
            }
        }
        self.number = Int(UInt16(bigEndian: address.sin_port))
        try #require(isBound)
    }

    deinit { close(self.descriptor) }
}

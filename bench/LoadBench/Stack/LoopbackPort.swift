import Glibc

/// TCP on 127.0.0.1.
public enum LoopbackPort {
    /// Below the ports that the kernel hands out to connecting sockets, of which a load run opens thousands.
    private static let range = 11_000..<31_000

    /// A port that was free a moment ago.
    public static func free() throws(StackError) -> Int {
        for _ in 0..<200 {
            let port = Int.random(in: self.range)
            if self.canBind(port) { return port }
        }
        throw .noFreePort
    }

    /// Somebody accepts connections there.
    public static func isListening(_ port: Int) -> Bool {
        guard let descriptor = self.connect(port, timeoutSeconds: 1) else { return false }
        close(descriptor)
        return true
    }

    /// A connected, blocking socket whose reads and writes give up after `timeoutSeconds`; nil when nobody listens.
    /// It is the caller's to close.
    static func connect(_ port: Int, timeoutSeconds: Int) -> Int32? {
        guard let descriptor = self.makeSocket() else { return nil }
        var limit = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        let result = self.withAddress(port) { Glibc.connect(descriptor, $0, $1) }
        guard result == 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    private static func canBind(_ port: Int) -> Bool {
        guard let descriptor = self.makeSocket() else { return false }
        defer { close(descriptor) }
        // As the servers do: connections of an earlier one that are in TIME_WAIT do not count.
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        return self.withAddress(port) { bind(descriptor, $0, $1) } == 0
    }

    private static func makeSocket() -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        return descriptor >= 0 ? descriptor : nil
    }

    private static func withAddress(
        _ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

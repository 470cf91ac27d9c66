import Glibc
import NIOCore

/// What the kernel knows of a TCP connection: the first 136 bytes of `struct tcp_info` of <linux/tcp.h> (Glibc's
/// module has an older, shorter form).
struct TCPState: Sendable, Equatable {
    /// Neither side has closed.
    let isEstablished: Bool
    /// Bytes of ours that the peer's kernel has taken, since the connection began.
    let bytesAcknowledged: UInt64
    /// Bytes of the peer that this kernel has taken, since the connection began; its FIN counts as one.
    let bytesReceived: UInt64

    private struct Info {
        var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
        var more: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
        var bytesReceived: UInt64 = 0
    }

    /// nil: not a TCP connection of this process' own (a stream of HTTP/2), closed, or a kernel before 4.1. On the
    /// channel's loop.
    static func of(_ channel: any Channel) -> TCPState? {
        self.descriptor(of: channel).flatMap { self.of($0) }
    }

    /// For those who ask often. Good for as long as the channel is active. On the channel's loop.
    static func descriptor(of channel: any Channel) -> NIOBSDSocket.Handle? {
        let socket = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { $0 }
        return socket ?? nil
    }

    /// nil: not a TCP connection, or a kernel before 4.1.
    static func of(_ descriptor: NIOBSDSocket.Handle) -> TCPState? {
        var info = Info()
        var length = socklen_t(MemoryLayout<Info>.size)
        guard getsockopt(descriptor, CInt(IPPROTO_TCP), TCP_INFO, &info, &length) == 0,
            length >= MemoryLayout<Info>.size
        else { return nil }
        let established: UInt64 = 1
        return TCPState(
            isEstablished: info.words.0 & 0xff == established, bytesAcknowledged: info.more.7,
            bytesReceived: info.bytesReceived)
    }
}

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

    private struct Info: Sendable {
        var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
        var more: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
        var bytesReceived: UInt64 = 0
    }

    /// nil: not a TCP connection of this process' own (a stream of HTTP/2), closed, or a kernel before 4.1. On the
    /// channel's loop.
    static func of(_ channel: any Channel) -> TCPState? {
        guard let options = channel as? any SocketOptionProvider else { return nil }
        var state: TCPState?
        let info: EventLoopFuture<Info> = options.unsafeGetSocketOption(
            level: .tcp, name: .init(rawValue: TCP_INFO))
        // On its own loop the channel answers at once.
        info.assumeIsolated().whenSuccess { info in
            let established: UInt64 = 1
            state = TCPState(
                isEstablished: info.words.0 & 0xff == established, bytesAcknowledged: info.more.7,
                bytesReceived: info.bytesReceived)
        }
        return state
    }
}

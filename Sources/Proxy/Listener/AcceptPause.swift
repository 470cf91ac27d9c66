import Glibc
import NIOCore

/// Stops accepting for a moment when descriptors or memory have run out. The connection that could not be accepted stays
/// in the kernel's queue and keeps the listener readable, so without a pause the loop would spin on it; and one that
/// gave up would never serve again.
///
/// NIO's `AcceptBackoffHandler` holds back reads but leaves the listener registered, which spins as well.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = Any

    private let pause: TimeAmount
    private let onPause: () -> Void

    /// - Parameter onPause: counts.
    init(_ pause: TimeAmount = .milliseconds(100), onPause: @escaping () -> Void) {
        self.pause = pause
        self.onPause = onPause
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let failure = error as? IOError,
            [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(failure.errnoCode)
        else {
            context.fireErrorCaught(error)
            return
        }
        self.onPause()
        let channel = context.channel
        // On the channel's own loop this is synchronous, and fails only on a closed channel.
        try? channel.syncOptions?.setOption(.autoRead, value: false)
        context.eventLoop.scheduleTask(in: self.pause) {
            try? channel.syncOptions?.setOption(.autoRead, value: true)
        }
    }
}

import Glibc
import NIOCore

/// The short way out of a connection: straight into its socket, for as long as NIO has nothing of the connection's waiting.
/// What the socket does not take at once goes through NIO, which waits for the socket, and so does all that follows until
/// nothing waits any more. Used only on the channel's loop.
///
/// NIO's own way of a write and a flush costs 3,000 instructions, and looks at nine objects that another connection has
/// pushed out of the cache by then.
struct DirectOutput {
    /// Good for as long as the channel is active.
    private let descriptor: NIOBSDSocket.Handle
    /// NIO has nothing of this connection's, for sure.
    private(set) var isClear = false

    /// For whoever speaks to the socket itself: it goes around all that stands between, be it TLS.
    init(_ descriptor: NIOBSDSocket.Handle) { self.descriptor = descriptor }

    /// nil: the channel has no socket of its own.
    init?(of channel: any Channel) {
        guard let descriptor = TCPState.descriptor(of: channel) else { return nil }
        self.init(descriptor)
    }

    /// Something was, or will be, written through NIO.
    mutating func noteWrite() { self.isClear = false }

    /// Sends as many of `bytes` as the socket takes at once.
    ///
    /// - Returns: how many that were; the others must go through NIO, and be noted. None when NIO has others to send first,
    ///   and none on a connection that failed, which NIO will find out.
    mutating func send(_ bytes: ByteBuffer, on channel: any Channel) -> Int {
        bytes.withUnsafeReadableBytes { self.send($0, on: channel) }
    }

    mutating func send(_ bytes: UnsafeRawBufferPointer, on channel: any Channel) -> Int {
        guard channel.isActive, self.isClear || self.nothingWaits(on: channel) else { return 0 }
        self.isClear = true
        return max(0, Glibc.send(self.descriptor, bytes.baseAddress, bytes.count, Self.flags))
    }

    private func nothingWaits(on channel: any Channel) -> Bool {
        (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) == 0
    }

    private static let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
}

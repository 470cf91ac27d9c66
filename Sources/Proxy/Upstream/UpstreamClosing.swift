import NIOCore
import NIOHTTP2
import NIOSSL

extension Channel {
    /// Closes a connection to upstream, TLS or not, at once. On the channel's loop.
    ///
    /// TLS says its farewell, but nobody waits for the peer's: on channels that tell a half-close, NIOSSL would
    /// miss it and keep the connection for 5 s, in which upstream goes on working for nobody.
    func closeUpstream() {
        let tls = try? self.pipeline.syncOperations.context(handlerType: NIOSSLClientHandler.self)
        self.close(promise: nil)
        tls?.close(promise: nil)
    }
}

/// What NIOHTTP2 reports on a connection.
enum HTTP2Fault {
    /// One stream's fault, which that stream hears of itself: the others go on.
    static func isOfOneStream(_ error: any Error) -> Bool {
        switch error {
        case is NIOHTTP2Errors.StreamError, is NIOHTTP2Errors.StreamClosed, is NIOHTTP2Errors.NoSuchStream,
            is NIOHTTP2Errors.CreatedStreamAfterGoaway:
            true
        default:
            false
        }
    }
}

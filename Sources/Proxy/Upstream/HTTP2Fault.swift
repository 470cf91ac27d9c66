import NIOHTTP2

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

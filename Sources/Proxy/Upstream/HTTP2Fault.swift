import NIOHTTP2

/// What an error that NIOHTTP2 reports on a connection is about. It reports those of a stream without saying so.
enum HTTP2Fault: Equatable {
    /// One message breaks the rules, and its stream was reset for it. The connection and all other streams are sound.
    case ofMessage
    /// One stream's, which that stream hears of itself; the other side may have been sent a GOAWAY.
    case ofStream
    /// The connection cannot go on: it was flooded, or what comes cannot be told apart any more.
    case ofConnection

    init(_ error: any Error) {
        self =
            if Self.isOfMessage(error) {
                .ofMessage
            } else if Self.isOfStream(error) {
                .ofStream
            } else {
                .ofConnection
            }
    }

    private static func isOfStream(_ error: any Error) -> Bool {
        switch error {
        case is NIOHTTP2Errors.StreamError, is NIOHTTP2Errors.StreamClosed, is NIOHTTP2Errors.NoSuchStream,
            is NIOHTTP2Errors.CreatedStreamAfterGoaway:
            true
        default:
            false
        }
    }

    /// RFC 9113 §8.1.1 makes these errors of a stream. NIOHTTP2 uses some others for streams and connections alike,
    /// such as `FlowControlViolation` and `BadStreamStateTransition`; they are taken for the worse.
    private static func isOfMessage(_ error: any Error) -> Bool {
        switch error {
        case is NIOHTTP2Errors.MissingPseudoHeader, is NIOHTTP2Errors.DuplicatePseudoHeader,
            is NIOHTTP2Errors.PseudoHeaderAfterRegularHeader, is NIOHTTP2Errors.UnknownPseudoHeader,
            is NIOHTTP2Errors.UnsupportedPseudoHeader, is NIOHTTP2Errors.InvalidPseudoHeaders,
            is NIOHTTP2Errors.InvalidPseudoHeaderValue, is NIOHTTP2Errors.EmptyPathHeader,
            is NIOHTTP2Errors.InvalidHTTP2HeaderFieldName, is NIOHTTP2Errors.InvalidHTTP2HeaderFieldValue,
            is NIOHTTP2Errors.ForbiddenHeaderField, is NIOHTTP2Errors.TrailersWithoutEndStream,
            is NIOHTTP2Errors.ContentLengthViolated, is NIOHTTP2Errors.ContentLengthHeadersMismatch,
            is NIOHTTP2Errors.ContentLengthHeaderNegative,
            is NIOHTTP2Errors.ContentLengthHeaderMalformedValue:
            true
        default:
            false
        }
    }
}

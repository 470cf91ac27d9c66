/// Why there is no reply. Holds nothing of the request, so it may be logged.
public enum OutboundFailure: Error, Sendable, Hashable {
    public enum TLSProblem: String, Sendable, Hashable {
        /// The peer's certificate is not valid for the name we asked for, or nobody we trust has signed it.
        case certificate
        /// The file of trusted authorities cannot be read.
        case authorities
        case handshake
    }

    /// Too many requests wait for a thread.
    case queueFull
    /// Not something that may be sent: a line break in a header, a target without a slash.
    case malformedRequest
    case resolve
    case connect
    case tls(TLSProblem)
    case timedOut(sent: Bool)
    /// The connection ended before the reply did, or what came was not HTTP.
    case broken(sent: Bool)
    /// The reply is larger than what is accepted.
    case replyTooLarge
    /// The caller's task was cancelled.
    case cancelled(sent: Bool)
    case shutDown(sent: Bool)

    /// false: the peer has certainly not seen the request. true says nothing about what the peer has done.
    public var mayHaveBeenSent: Bool {
        switch self {
        case .queueFull, .malformedRequest, .resolve, .connect, .tls: false
        case .timedOut(let sent), .broken(let sent), .cancelled(let sent), .shutDown(let sent): sent
        case .replyTooLarge: true
        }
    }

    /// Bounded: a metric label.
    public var label: String {
        switch self {
        case .queueFull: "queue_full"
        case .malformedRequest: "malformed_request"
        case .resolve: "resolve"
        case .connect: "connect"
        case .tls(let problem): "tls_" + problem.rawValue
        case .timedOut(let sent): sent ? "timed_out_after_sending" : "timed_out_before_sending"
        case .broken(let sent): sent ? "broken_after_sending" : "broken_before_sending"
        case .replyTooLarge: "reply_too_large"
        case .cancelled: "cancelled"
        case .shutDown: "shut_down"
        }
    }
}

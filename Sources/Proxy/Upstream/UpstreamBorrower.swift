import Metering
import NIOCore

/// Why an upstream connection gave no (complete) response. Bounded: used as a metric label.
enum UpstreamFailure: String, Error, Sendable, Equatable, CaseIterable {
    case connectFailed = "connect_failed"
    case connectTimeout = "connect_timeout"
    case tlsFailed = "tls_failed"
    case nameNotResolved = "name_not_resolved"
    /// The proxy on the way refused the tunnel.
    case proxyFailed = "proxy_failed"
    /// Too many exchanges wait for a connection.
    case poolExhausted = "pool_exhausted"
    case closed = "closed"
    /// The connection had been closed by upstream before it took anything of the request, which is proved: it may
    /// be sent again on another one.
    case notAccepted = "not_accepted"
    case protocolViolation = "protocol_violation"
    case shuttingDown = "shutting_down"
}

/// Who uses an upstream connection for one exchange. Every call comes on the loop of the pool.
protocol UpstreamBorrower: AnyObject {
    /// - Parameter reused: the connection served others before, so that upstream may have just closed it.
    func upstreamReady(_ connection: UpstreamConnection, reused: Bool)
    /// There will be no connection.
    func upstreamFailed(_ failure: UpstreamFailure)
    /// The final head; interim ones are swallowed. `bytes` holds what the ranges of `head` refer to.
    func upstreamHead(_ head: ResponseHead, bytes: ByteBuffer)
    /// Payload, without its framing; several calls in one read are possible.
    func upstreamBody(_ bytes: ByteBuffer)
    /// The message ended as its framing says. The borrower releases the connection.
    func upstreamEnd()
    /// A read is through: time to flush.
    func upstreamReadComplete()
    /// The connection ended, or broke the protocol, before the message did.
    func upstreamClosed(_ failure: UpstreamFailure)
}

/// How a client's bytes reach a `ClientConnection`.
enum ListenerTransport: Sendable {
    case plain
    case tls
    /// One stream of an HTTP/2 connection, over TLS.
    case http2
}

/// Something with a client at its other end that must be told when the server goes away.
protocol ClientSession: AnyObject {
    /// Nothing new is taken; what runs goes on, then the session closes.
    func quiesce()
    /// Closes at once.
    func abort()
}

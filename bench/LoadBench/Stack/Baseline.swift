/// What a reverse proxy that meters nothing is to do.
public struct BaselineSettings: Sendable, Equatable {
    public var port: Int
    public var upstreamPort: Int
    /// nil: plain on both legs.
    public var certificates: StackCertificates?
    public var tls: TLSLegs
    /// Nothing is gathered on the way: what arrives is passed on.
    public var isStreaming: Bool
    /// Clients at a time.
    public var connectionsMax: Int

    /// The operator's key, which the upstream is to see in place of the client's.
    public static let operatorKey = "sk-operator"

    public init(
        port: Int, upstreamPort: Int, certificates: StackCertificates? = nil, tls: TLSLegs = TLSLegs(),
        isStreaming: Bool = false, connectionsMax: Int = 4096
    ) {
        self.port = port
        self.upstreamPort = upstreamPort
        self.certificates = certificates
        self.tls = tls
        self.isStreaming = isStreaming
        self.connectionsMax = connectionsMax
    }

    var clientCertificates: StackCertificates? { self.tls.client ? self.certificates : nil }
    var upstreamCertificates: StackCertificates? { self.tls.upstream ? self.certificates : nil }
}

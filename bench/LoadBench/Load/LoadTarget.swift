import NIOCore
import NIOSSL

/// Where a run sends its requests.
public struct LoadTarget: Sendable {
    public var host: String
    public var port: Int
    /// nil: plain TCP.
    public var tls: NIOSSLContext?
    /// Name in the certificate, and in `Host`.
    public var serverName: String

    public init(host: String, port: Int, tls: NIOSSLContext? = nil, serverName: String? = nil) {
        self.host = host
        self.port = port
        self.tls = tls
        self.serverName = serverName ?? host
    }

    /// For `Host`.
    var authority: String {
        let name = self.serverName.contains(":") ? "[\(self.serverName)]" : self.serverName
        return self.port == (self.tls == nil ? 80 : 443) ? name : "\(name):\(self.port)"
    }

    /// Puts `handler` behind what the connection speaks. On the channel's loop, before it connects.
    func add(_ handler: some ChannelInboundHandler, to channel: any Channel) throws {
        let pipeline = channel.pipeline.syncOperations
        if let tls = self.tls {
            try pipeline.addHandler(NIOSSLClientHandler(context: tls, serverHostname: self.tlsName))
        }
        try pipeline.addHandler(handler)
    }

    /// For SNI, where addresses are not allowed; their certificates are held against the peer's address.
    var tlsName: String? {
        (try? SocketAddress(ipAddress: self.serverName, port: 0)) == nil ? self.serverName : nil
    }
}

/// Whose requests they are.
public struct Credentials: Sendable {
    /// API keys of accounts that have credits.
    public var keys: [String]
    /// Of accounts that have none.
    public var emptyKeys: [String]

    public init(keys: [String], emptyKeys: [String] = []) {
        self.keys = keys
        self.emptyKeys = emptyKeys
    }
}

import NIOCore
import NIOPosix
import NIOSSL

/// A faithful and, on demand, nasty fake of OpenAI's API.
///
/// Replies depend only on the request. What was really served is in the log, which is the oracle of billing
/// tests.
public final class MockOpenAIServer: Sendable {
    private let channel: any Channel
    private let shared: SharedState

    private init(channel: any Channel, shared: SharedState) {
        self.channel = channel
        self.shared = shared
    }

    /// Binds and serves on `group` until `shutdown()`. Throws when the address, the TLS files or the log file
    /// are unusable.
    public static func start(
        _ configuration: Configuration = Configuration(), on group: any EventLoopGroup
    ) async throws -> MockOpenAIServer {
        let shared = try SharedState(configuration)
        let tls = try configuration.tls.map(Self.context)
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4_096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 16_384, high: 65_536))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    }
                    try channel.pipeline.syncOperations.addHandler(ConnectionHandler(shared))
                }
            }
            .bind(host: configuration.host, port: configuration.port).get()
        return MockOpenAIServer(channel: channel, shared: shared)
    }

    private static func context(_ files: Configuration.TLS) throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMFile(files.certificatePath).map {
            NIOSSLCertificateSource.certificate($0)
        }
        let key = try NIOSSLPrivateKey(file: files.keyPath, format: .pem)
        var settings = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain, privateKey: .privateKey(key))
        settings.applicationProtocols = ["http/1.1"]
        return try NIOSSLContext(configuration: settings)
    }

    public var port: Int { channel.localAddress?.port ?? 0 }

    /// `http://HOST:PORT/v1`, as `OPENAI_BASE_URL` wants it.
    public var baseURL: String {
        let scheme = shared.configuration.tls == nil ? "http" : "https"
        return "\(scheme)://\(shared.configuration.host):\(port)/v1"
    }

    public var stats: Stats { shared.stats }

    /// The lines of `GET /_mock/log`, each without its line end.
    public var logLines: [String] {
        shared.log.rows().map { String(decoding: $0.readableBytesView.dropLast(), as: UTF8.self) }
    }

    /// From now on every API reply is withheld.
    public func hold() { shared.barrier.hold() }

    /// Answers all that was withheld, and everything after.
    public func release() { shared.barrier.release() }

    /// Clears log and counters. Requests in flight are logged afterwards.
    public func reset() { shared.reset() }

    /// Stops listening and closes all connections. Requests in flight get their log row as not completed.
    public func shutdown() async throws {
        try await channel.close()
        for connection in shared.connections {
            // A connection that closed by itself meanwhile is what we want too.
            try? await connection.close()
        }
        shared.barrier.release()
    }
}

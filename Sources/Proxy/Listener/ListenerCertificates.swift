import NIOSSL
import Synchronization

/// The certificates of the listener, chosen by the name that a client asks for (SNI), replaced as a whole by
/// `reload`. Handshakes that begin after it use the new ones; connections keep theirs.
///
/// OCSP stapling is left out on purpose: authorities are ending the service, and short-lived certificates with a
/// reload take its place.
public final class ListenerCertificates: Sendable {
    /// A certificate or key that cannot be used; names the file, never its content.
    public struct Problem: Error, Equatable, CustomStringConvertible {
        /// One file can hold both, so its name does not tell.
        public enum Part: Sendable { case certificate, key }

        public var part: Part
        public var file: String
        public var reason: String
        public var description: String { "\(self.file): \(self.reason)" }
    }

    private struct Served: Sendable {
        let names: [String]
        let chain: [NIOSSLCertificate]
        let key: NIOSSLPrivateKey
    }

    private let pairs: [DataPlaneConfiguration.CertificatePair]
    private let served: Mutex<[Served]>

    /// - Parameter pairs: not empty; the first serves names that no other one has.
    public init(_ pairs: [DataPlaneConfiguration.CertificatePair]) throws(Problem) {
        precondition(!pairs.isEmpty, "a listener without certificates is plain")
        self.pairs = pairs
        self.served = Mutex(try Self.load(pairs))
    }

    /// Reads all files again. Throws, and changes nothing, when any of them cannot be used.
    public func reload() throws(Problem) {
        let fresh = try Self.load(self.pairs)
        self.served.withLock { $0 = fresh }
    }

    /// One context for the life of the process, so that its session tickets outlive a reload.
    func makeContext() throws -> NIOSSLContext {
        let first = self.choose(nil)
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: first.chain.map { .certificate($0) }, privateKey: .privateKey(first.key))
        tls.minimumTLSVersion = .tlsv12
        // TLS 1.3 brings its own; of 1.2 only forward-secret suites with authenticated encryption.
        tls.cipherSuiteValues = [
            .TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, .TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            .TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, .TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            .TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, .TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ]
        tls.applicationProtocols = ["h2", "http/1.1"]
        tls.sslContextCallback = { [self] client, promise in
            let chosen = self.choose(client.serverHostname)
            var override = NIOSSLContextConfigurationOverride()
            override.certificateChain = chosen.chain.map { .certificate($0) }
            override.privateKey = .privateKey(chosen.key)
            promise.succeed(override)
        }
        return try NIOSSLContext(configuration: tls)
    }

    private func choose(_ host: String?) -> Served {
        self.served.withLock { served in
            served[CertificateName.best(for: host, among: served.map(\.names)) ?? 0]
        }
    }

    // MARK: Loading

    private static func load(
        _ pairs: [DataPlaneConfiguration.CertificatePair]
    ) throws(Problem) -> [Served] {
        var served: [Served] = []
        for pair in pairs { served.append(try self.load(pair)) }
        return served
    }

    private static func load(_ pair: DataPlaneConfiguration.CertificatePair) throws(Problem) -> Served {
        let chain: [NIOSSLCertificate]
        do {
            chain = try NIOSSLCertificate.fromPEMFile(pair.certificateFile)
        } catch {
            throw Problem(
                part: .certificate, file: pair.certificateFile,
                reason: "is not a readable PEM certificate chain")
        }
        guard let leaf = chain.first else {
            throw Problem(part: .certificate, file: pair.certificateFile, reason: "holds no certificate")
        }
        let key: NIOSSLPrivateKey
        do {
            key = try NIOSSLPrivateKey(file: pair.keyFile, format: .pem)
        } catch {
            throw Problem(
                part: .key, file: pair.keyFile,
                reason: "is not a readable PEM private key without a passphrase")
        }
        do {
            _ = try NIOSSLContext(
                configuration: .makeServerConfiguration(
                    certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key)))
        } catch {
            throw Problem(
                part: .key, file: pair.keyFile, reason: "does not belong to \(pair.certificateFile)")
        }
        return Served(names: CertificateName.names(of: leaf), chain: chain, key: key)
    }
}

/// The names a certificate is for.
enum CertificateName {
    /// DNS names of the subject alternative names, in lower case.
    static func names(of certificate: NIOSSLCertificate) -> [String] {
        certificate._subjectAlternativeNames().compactMap { name in
            guard name.nameType == .dnsName else { return nil }
            return name.contents.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self).lowercased() }
        }
    }

    /// Which of the certificates with these names is for a host: the first that names it, else the first with a
    /// wildcard for it.
    ///
    /// - Parameter host: as a client wrote it; the dot at the end of a full name is not part of it (RFC 6066 §3).
    static func best(for host: String?, among certificates: [[String]]) -> Int? {
        guard var host = host?.lowercased() else { return nil }
        if host.hasSuffix(".") { host.removeLast() }
        return certificates.firstIndex { $0.contains(host) }
            ?? certificates.firstIndex { $0.contains { self.matches($0, host) } }
    }

    /// `*` stands for exactly one left-most label (RFC 6125 §6.4.3). Both are lower case.
    static func matches(_ name: String, _ host: String) -> Bool {
        guard name.hasPrefix("*.") else { return name == host }
        guard let dot = host.firstIndex(of: "."), dot != host.startIndex else { return false }
        return host[dot...] == name.dropFirst()
    }
}

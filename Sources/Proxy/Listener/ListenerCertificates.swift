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

    private let pairs: [DataPlaneConfiguration.CertificatePair]
    private let served: Mutex<[TLSCertificate]>

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

    /// For the life of the process: its session tickets outlive a reload.
    func makeContext() throws -> TLSServerContext {
        try TLSServerContext(protocols: ["h2", "http/1.1"]) { [self] name in self.choose(name) }
    }

    private func choose(_ host: String?) -> TLSCertificate {
        self.served.withLock { served in
            served[CertificateName.best(for: host, among: served.map(\.names)) ?? 0]
        }
    }

    private static func load(
        _ pairs: [DataPlaneConfiguration.CertificatePair]
    ) throws(Problem) -> [TLSCertificate] {
        var served: [TLSCertificate] = []
        for pair in pairs {
            served.append(try TLSCertificate(certificateFile: pair.certificateFile, keyFile: pair.keyFile))
        }
        return served
    }
}

/// The names a certificate is for.
enum CertificateName {
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

import Metering
import NIOCore
import Proxy

/// The settings of the wire: limits, time-outs, certificates, peers. Names and defaults stand in
/// `DataPlaneConfiguration`; this says what is sane.
enum DataPlaneSettings {
    /// - Parameter descriptors: how many this process may have open. A stream needs two, one to its client and one
    ///   upstream; the stores, files and the operator's port need some, too.
    static func limits(
        _ reader: inout SettingsReader, descriptors: Int
    ) -> DataPlaneConfiguration.Limits {
        var limits = DataPlaneConfiguration.Limits()
        let streams = min(max(64, (descriptors - 256) / 2), 10_000_000)
        func read(_ name: String, _ range: ClosedRange<Int64>, _ limit: inout Int) {
            if let value = reader.integer(name, in: range) { limit = Int(value) }
        }
        read("MAX_HEAD_BYTES", 1024...(1 << 20), &limits.headBytesMax)
        read("MAX_HEAD_FIELDS", 8...10_000, &limits.headFieldsMax)
        read("MAX_JSON_BODY_BYTES", 1024...(512 << 20), &limits.jsonBodyBytesMax)
        read("MAX_FORM_BODY_BYTES", 1024...(512 << 20), &limits.formBodyBytesMax)
        read("MAX_CONTROL_BODY_BYTES", 1024...(64 << 20), &limits.controlBodyBytesMax)
        read("MAX_RATE_CARD_BODY_BYTES", 1024...(64 << 20), &limits.rateCardBodyBytesMax)
        read("MAX_BUFFERED_BODY_BYTES", (1 << 20)...(1 << 40), &limits.bufferedBodyBytesMax)
        read("MAX_CONNECTIONS", 0...10_000_000, &limits.connectionsMax)
        if limits.connectionsMax == 0 { limits.connectionsMax = streams }
        limits.connectionsPerAddressMax =
            reader.integer("MAX_CONNECTIONS_PER_ADDRESS", in: 0...10_000_000).map { Int($0) }
        read("MAX_OPEN_STREAMS", 1...10_000_000, &limits.exchangesMax)
        limits.upstreamConnectionsMax = min(limits.upstreamConnectionsMax, streams)
        read("MAX_UPSTREAM_CONNECTIONS", 1...1_000_000, &limits.upstreamConnectionsMax)
        return limits
    }

    static func timeouts(_ reader: inout SettingsReader) -> DataPlaneConfiguration.Timeouts {
        var timeouts = DataPlaneConfiguration.Timeouts()
        func read(_ name: String, _ range: ClosedRange<Int64>, _ time: inout TimeAmount) {
            if let seconds = reader.integer(name, in: range) { time = .seconds(seconds) }
        }
        read("HEADER_TIMEOUT_SECONDS", 1...3600, &timeouts.clientHead)
        read("BODY_TIMEOUT_SECONDS", 1...3600, &timeouts.clientBody)
        read("BODY_TOTAL_TIMEOUT_SECONDS", 1...86_400, &timeouts.clientBodyTotal)
        read("KEEPALIVE_TIMEOUT_SECONDS", 1...86_400, &timeouts.keepAlive)
        read("CLIENT_WRITE_TIMEOUT_SECONDS", 1...3600, &timeouts.clientWrite)
        read("TLS_HANDSHAKE_TIMEOUT_SECONDS", 1...3600, &timeouts.tlsHandshake)
        read("UPSTREAM_CONNECT_TIMEOUT_SECONDS", 1...600, &timeouts.upstreamConnect)
        read("UPSTREAM_HEAD_TIMEOUT_SECONDS", 1...3600, &timeouts.upstreamHead)
        read("UPSTREAM_IDLE_TIMEOUT_SECONDS", 1...3600, &timeouts.upstreamIdle)
        read("UPSTREAM_KEEPALIVE_SECONDS", 1...3600, &timeouts.upstreamKeepAlive)
        read("EXCHANGE_TIMEOUT_SECONDS", 1...86_400, &timeouts.exchange)
        read("DRAIN_TIMEOUT_SECONDS", 1...3600, &timeouts.drain)
        read("SHUTDOWN_DELAY_SECONDS", 0...600, &timeouts.shutdownDelay)
        read("SHUTDOWN_TIMEOUT_SECONDS", 0...86_400, &timeouts.shutdown)
        return timeouts
    }

    /// `TLS_CERT` and `TLS_KEY`: lists of files, of equal length, that can be used as they are.
    static func certificates(
        _ reader: inout SettingsReader
    ) -> [DataPlaneConfiguration.CertificatePair] {
        func files(_ name: String) -> [String] {
            (reader.text(name) ?? "").split(separator: ",").map { String($0.trimmingBlanks) }
        }
        let (certificates, keys) = (files("TLS_CERT"), files("TLS_KEY"))
        guard certificates.count == keys.count else {
            let shorter = certificates.count < keys.count ? "TLS_CERT" : "TLS_KEY"
            reader.reject(shorter, "TLS_CERT and TLS_KEY need one file each for every certificate")
            return []
        }
        let pairs = zip(certificates, keys).map {
            DataPlaneConfiguration.CertificatePair(certificateFile: $0, keyFile: $1)
        }
        for pair in pairs {
            do {
                _ = try ListenerCertificates([pair])
            } catch {
                reader.reject(error.part == .key ? "TLS_KEY" : "TLS_CERT", "\(error)")
            }
        }
        return pairs
    }

    static func upstreamProxy(
        _ reader: inout SettingsReader, to origin: UpstreamOrigin
    ) -> UpstreamProxy? {
        let settings = reader
        do {
            return try UpstreamProxy.of(origin) { settings.text($0) }
        } catch {
            reader.reject(error.variable, "\(error)")
            return nil
        }
    }

    static func trustedPeers(_ reader: inout SettingsReader) -> TrustedPeers {
        do {
            return try TrustedPeers(parsing: reader.text("TRUSTED_PROXIES") ?? "")
        } catch {
            reader.reject("TRUSTED_PROXIES", "\(error)")
            return TrustedPeers()
        }
    }
}

import Metering
import Synchronization

/// What the upstream connections of all loops add up to.
final class UpstreamCounters: MetricSource, Sendable {
    let open = Atomic(0)
    let dials = Atomic(0)
    /// Short handshakes of TLS.
    let resumed = Atomic(0)
    let reused = Atomic(0)
    let streams = Atomic(0)
    private let failures = Mutex<[UpstreamFailure: Int]>([:])

    func count(_ failure: UpstreamFailure) { self.failures.withLock { $0[failure, default: 0] += 1 } }

    func samples() -> [MetricSample] {
        var samples = [
            MetricSample(
                "proxy_upstream_connections_open", help: "Connections to the upstream, busy and idle.",
                kind: .gauge, count: self.open.load(ordering: .relaxed)),
            MetricSample(
                "proxy_upstream_dials_total", help: "Connections to the upstream that were begun.",
                kind: .counter, count: self.dials.load(ordering: .relaxed)),
            MetricSample(
                "proxy_upstream_tls_resumed_total",
                help: "TLS connections to the upstream that resumed a session.",
                kind: .counter, count: self.resumed.load(ordering: .relaxed)),
            MetricSample(
                "proxy_upstream_reused_total",
                help: "Requests sent on a connection that served others before.",
                kind: .counter, count: self.reused.load(ordering: .relaxed)),
            MetricSample(
                "proxy_upstream_http2_streams_total", help: "Requests sent as a stream of HTTP/2.",
                kind: .counter, count: self.streams.load(ordering: .relaxed)),
        ]
        for (failure, count) in self.failures.withLock({ $0 }) {
            samples.append(
                MetricSample(
                    "proxy_upstream_failures_total",
                    help: "Requests that got no connection to the upstream, or lost it.",
                    kind: .counter, labels: [.init("reason", failure.rawValue)], count: count))
        }
        return samples
    }
}

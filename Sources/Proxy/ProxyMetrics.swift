import Metering
import NIOCore
import Synchronization

/// What the data plane counts. Written by all event loops, read at scrape time; label sets are closed enums.
public final class ProxyMetrics: MetricSource, Sendable {
    let streamsOpen = Atomic(0)
    let connectionsOpen = Atomic(0)
    /// Of all loops; also what `MAX_OPEN_STREAMS` is compared with.
    let exchangesRunning = Atomic(0)
    let connectionsRefused = Atomic(0)
    let retries = Atomic(0)
    let acceptPauses = Atomic(0)
    let insufficientCredits = Atomic(0)
    let overHold = Atomic(0)
    let zeroUsage = Atomic(0)
    let upstream = UpstreamCounters()
    private let waived = Mutex<[Waiver: Int]>([:])
    private let requests = Mutex<[RequestLabel: Int]>([:])
    /// Time in Tollgate, the upstream's own time taken out.
    private let overhead = Mutex(
        TimeHistogram(boundsMicroseconds: [
            50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000, 100_000, 500_000,
        ]))

    private struct RequestLabel: Hashable {
        var route: DataRoute.Label
        var status: Int
    }

    public init() {}

    func countRequest(_ route: DataRoute.Label, status: Int) {
        self.requests.withLock { $0[RequestLabel(route: route, status: status), default: 0] += 1 }
    }

    func countWaived(_ waiver: Waiver) { self.waived.withLock { $0[waiver, default: 0] += 1 } }

    func addOverhead(_ time: TimeAmount) { self.overhead.withLock { $0.add(nanoseconds: time.nanoseconds) } }

    public func samples() -> [MetricSample] {
        var samples = [
            MetricSample(
                "proxy_streams_open", help: "Exchanges whose response is being relayed.", kind: .gauge,
                count: self.streamsOpen.load(ordering: .relaxed)),
            MetricSample(
                "proxy_connections_open", help: "Client connections.", kind: .gauge,
                count: self.connectionsOpen.load(ordering: .relaxed)),
            MetricSample(
                "proxy_exchanges_running", help: "Exchanges, those not yet sent upstream included.",
                kind: .gauge, count: self.exchangesRunning.load(ordering: .relaxed)),
            MetricSample(
                "proxy_connections_refused_total", help: "Connections over a limit, refused.",
                kind: .counter, count: self.connectionsRefused.load(ordering: .relaxed)),
            MetricSample(
                "proxy_accept_pauses_total",
                help: "Times that accepting stopped for want of descriptors or memory.",
                kind: .counter, count: self.acceptPauses.load(ordering: .relaxed)),
            MetricSample(
                "proxy_upstream_retries_total",
                help: "Requests sent on a fresh connection after a dead one that took nothing of them.",
                kind: .counter, count: self.retries.load(ordering: .relaxed)),
            MetricSample(
                "billing_402_insufficient_credits_total", help: "Requests refused for want of credits.",
                kind: .counter, count: self.insufficientCredits.load(ordering: .relaxed)),
            MetricSample(
                "over_hold_total", help: "Charges above their hold, posted in full.", kind: .counter,
                count: self.overHold.load(ordering: .relaxed)),
            MetricSample(
                "usage_zero_total",
                help: "Replies of priced models that reported a usage of nothing, and were charged nothing.",
                kind: .counter, count: self.zeroUsage.load(ordering: .relaxed)),
        ]
        let waived = self.waived.withLock { $0 }
        for waiver in Waiver.allCases {
            samples.append(
                MetricSample(
                    "billing_waived_total", help: "Exchanges that were served and not charged.",
                    kind: .counter,
                    labels: [.init("reason", waiver.rawValue)], count: waived[waiver] ?? 0))
        }
        for (label, count) in self.requests.withLock({ $0 }) {
            samples.append(
                MetricSample(
                    "proxy_requests_total", help: "Data-plane requests answered.", kind: .counter,
                    labels: [.init("endpoint", label.route.rawValue), .init("status", String(label.status))],
                    count: count))
        }
        return samples + self.upstream.samples()
            + self.overhead.withLock {
                $0.samples("proxy_overhead_seconds", help: "Request time minus upstream time.")
            }
    }
}

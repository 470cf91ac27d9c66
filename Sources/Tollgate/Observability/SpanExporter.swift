import Logging
import Metering
import StripeAPI
import Synchronization

/// Sends spans to a collector, once a second. Exchanges only leave theirs here; whatever the collector does, memory stays
/// bounded, and what is lost is counted.
final class SpanExporter: SpanSink, MetricSource {
    private struct Counts {
        var exported = 0
        var dropped: [String: Int] = ["queue_full": 0, "refused": 0, "unavailable": 0, "shutdown": 0]
    }

    private let collector: TraceSettings.Collector
    private let service: String
    private let instance: String
    private let http: OutboundHTTP
    private let logger: Logger
    private let queue = Mutex(SpanQueue())
    private let counts = Mutex(Counts())
    private let isStopping = Atomic(false)

    private static let requestTimeout = Duration.seconds(5)
    /// For what waits when the process ends.
    private static let flushTimeout = Duration.seconds(5)
    private static let tick = Duration.milliseconds(200)
    private static let ticksPerExport = 5

    /// nil: nobody collects.
    init?(_ settings: TraceSettings, instance: String, logger: Logger) {
        guard let collector = settings.collector else { return nil }
        self.collector = collector
        self.service = settings.serviceName
        self.instance = instance
        self.logger = logger
        var configuration = OutboundHTTP.Configuration()
        configuration.threads = 1
        configuration.totalTimeout = Self.requestTimeout
        self.http = OutboundHTTP(configuration)
    }

    func take(_ span: ExchangeSpan) { self.queue.withLock { $0.add(span) } }

    /// Lets `run` send what waits, and return.
    func stop() { self.isStopping.store(true, ordering: .relaxed) }

    private var mustStop: Bool { self.isStopping.load(ordering: .relaxed) }

    /// Until `stop()`.
    func run() async {
        while !self.mustStop {
            for _ in 0..<Self.ticksPerExport where !self.mustStop { try? await Task.sleep(for: Self.tick) }
            await self.exportAll()
        }
        await self.flush()
        self.http.shutDown()
    }

    private func exportAll() async {
        while !self.mustStop {
            let batch = self.queue.withLock { $0.take() }
            guard !batch.isEmpty else { return }
            await self.export(batch)
        }
    }

    /// Again and again, until it is delivered, refused, or not worth it any more.
    private func export(_ batch: [ExchangeSpan]) async {
        var attempt = 1
        while true {
            let verdict = await self.send(batch, attempt: attempt, within: Self.requestTimeout)
            switch verdict {
            case .delivered:
                self.counts.withLock { $0.exported += batch.count }
                return
            case .drop(let reason):
                self.drop(batch, reason)
                return
            case .retry(let pause):
                if attempt == 1 { self.logger.warning("the collector of traces did not take a batch") }
                attempt += 1
                let end = ContinuousClock.now + pause
                while ContinuousClock.now < end, !self.mustStop { try? await Task.sleep(for: Self.tick) }
                guard !self.mustStop else {
                    self.drop(batch, "shutdown")
                    return
                }
            }
        }
    }

    private func flush() async {
        let end = ContinuousClock.now + Self.flushTimeout
        while true {
            let batch = self.queue.withLock { $0.take() }
            guard !batch.isEmpty else { return }
            let left = end - ContinuousClock.now
            guard left > .zero,
                await self.send(batch, attempt: 1, within: min(left, Self.requestTimeout)) == .delivered
            else {
                self.drop(batch, "shutdown")
                continue
            }
            self.counts.withLock { $0.exported += batch.count }
        }
    }

    private func drop(_ batch: [ExchangeSpan], _ reason: String) {
        self.counts.withLock { $0.dropped[reason, default: 0] += batch.count }
    }

    private func send(_ batch: [ExchangeSpan], attempt: Int, within timeout: Duration) async -> ExportVerdict
    {
        let traces = OTLPTraces(
            batch, service: self.service, instance: self.instance, version: Version.text)
        guard let body = try? traces.encoded() else { return .drop("refused") }
        let request = OutboundRequest(
            .post, self.collector.base, target: self.collector.target,
            headers: [.init("Content-Type", "application/json")] + self.collector.headers, body: body,
            timeout: timeout)
        let reply = try? await self.http.send(request)
        return ExportVerdict.of(
            status: reply?.status, attempt: attempt,
            retryAfter: reply?.header("retry-after").flatMap { Int64($0) })
    }

    func samples() -> [MetricSample] {
        let (waiting, turnedAway) = self.queue.withLock { ($0.count, $0.turnedAway) }
        var counts = self.counts.withLock { $0 }
        counts.dropped["queue_full", default: 0] += turnedAway
        return [
            MetricSample(
                "trace_exchanges_exported_total", help: "Traced exchanges that the collector took.",
                kind: .counter, count: counts.exported),
            MetricSample(
                "trace_exchanges_waiting", help: "Traced exchanges that wait to be exported.", kind: .gauge,
                count: waiting),
        ]
            + counts.dropped.map { reason, count in
                MetricSample(
                    "trace_exchanges_dropped_total", help: "Traced exchanges that were not exported.",
                    kind: .counter, labels: [.init("reason", reason)], count: count)
            }
    }
}

extension SpanExporter {
    /// The exporter as a part of the process that stops last, with the spans of the last exchanges.
    static func parts(_ exporter: SpanExporter?) -> [ServicePart] {
        guard let exporter else { return [] }
        return [ServicePart("export of traces", onShutdown: { exporter.stop() }) { await exporter.run() }]
    }
}

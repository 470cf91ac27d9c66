import Foundation
import Metering
import Testing

@testable import Tollgate

/// What a collector gets, and what becomes of it when the collector is in trouble.
@Suite struct TraceExportTests {
    static func span(_ number: UInt64) -> ExchangeSpan {
        var span = ExchangeSpan(
            trace: TraceContext(traceHigh: 1, traceLow: number, parent: 9, isSampled: true), span: 5,
            hold: HoldID(high: 7, low: number), startedAt: 1_795_464_503_123_000_000, duration: 5_000_000,
            method: "POST", endpoint: "chat", status: 502, end: "upstream_failed")
        span.model = "gpt-4o-mini"
        span.charged = Millicredits(12)
        span.upstream = .init(span: 6, begin: 1_000_000, end: 4_000_000)
        span.firstByte = 3_000_000
        return span
    }

    @Test func spansAreWrittenAsTheProtocolSays() throws {
        let bytes = try OTLPTraces([Self.span(2)], service: "s", instance: "i", version: "1").encoded()
        let root = try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
        let resources = try #require(root["resourceSpans"] as? [[String: Any]])
        let scopes = try #require(resources.first?["scopeSpans"] as? [[String: Any]])
        let spans = try #require(scopes.first?["spans"] as? [[String: Any]])
        #expect(spans.map { $0["name"] as? String } == ["POST chat", "upstream"])
        #expect(Set(spans.map { $0["traceId"] as? String }) == ["00000000000000010000000000000002"])
        #expect(spans[0]["parentSpanId"] as? String == "0000000000000009")
        #expect(spans[1]["parentSpanId"] as? String == spans[0]["spanId"] as? String)
        #expect(spans[0]["startTimeUnixNano"] as? String == "1795464503123000000")
        #expect(spans[1]["endTimeUnixNano"] as? String == "1795464503127000000")
        #expect((spans[0]["status"] as? [String: Int])?["code"] == 2)
        let attributes = try #require(spans[0]["attributes"] as? [[String: Any]])
        let charged = attributes.first { $0["key"] as? String == "tollgate.charged_millicredits" }
        #expect((charged?["value"] as? [String: String]) == ["intValue": "12"])
    }

    @Test func theQueueIsBoundedAndKeepsTheOldest() {
        var queue = SpanQueue()
        for number in 0..<UInt64(SpanQueue.capacity + 5) { queue.add(Self.span(number)) }
        #expect(queue.count == SpanQueue.capacity && queue.turnedAway == 5)
        #expect(queue.take().map(\.trace.traceLow) == Array(0..<UInt64(SpanQueue.batchMax)))
        #expect(queue.count == SpanQueue.capacity - SpanQueue.batchMax)
    }

    @Test(
        arguments: [
            (200, 1, nil, .delivered), (202, 6, nil, .delivered), (400, 1, nil, .drop("refused")),
            (404, 1, nil, .drop("refused")), (503, 1, nil, .retry(after: .seconds(1))),
            (429, 3, nil, .retry(after: .seconds(4))), (nil, 5, nil, .retry(after: .seconds(16))),
            (503, 6, nil, .drop("unavailable")), (503, 1, 7, .retry(after: .seconds(7))),
            (503, 1, 0, .retry(after: .seconds(1))), (503, 1, 99_999, .retry(after: .seconds(30))),
        ] as [(Int?, Int, Int64?, ExportVerdict)])
    func whatMayComeRightIsTriedAgain(
        _ status: Int?, _ attempt: Int, _ after: Int64?, _ verdict: ExportVerdict
    ) {
        #expect(ExportVerdict.of(status: status, attempt: attempt, retryAfter: after) == verdict)
    }

    private func settings(_ table: [String: String]) -> (TraceSettings, [String]) {
        var reader = SettingsReader(get: { table[$0] }, readFile: { _ in "" })
        let settings = TraceSettings(&reader)
        return (settings, reader.problems.map(\.name))
    }

    @Test func endpointsAreReadAsOpenTelemetrySaysThem() {
        let shared = self.settings(["OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"]).0
        #expect(shared.collector?.base.description == "http://collector:4318")
        #expect(shared.collector?.target == "/v1/traces" && shared.sampledBelow == .max)
        let own = self.settings([
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://b/x/y",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20k, x-team=t", "TRACE_SAMPLE_RATIO": "0.5",
        ]).0
        #expect(own.collector?.base.description == "https://b" && own.collector?.target == "/x/y")
        #expect(own.collector?.headers.map(\.value) == ["Bearer k", "t"])
        #expect(own.sampledBelow / 1_000_000_000 == (UInt64.max / 2) / 1_000_000_000)
        #expect(self.settings([:]).0.collector == nil)
    }

    /// A header holds a key of the collector: it goes over TLS, or stays on this machine.
    @Test(arguments: [
        (["OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"], "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (
            ["OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1", "OTEL_EXPORTER_OTLP_HEADERS": "k=v"],
            "OTEL_EXPORTER_OTLP_ENDPOINT"
        ),
        (["OTEL_EXPORTER_OTLP_HEADERS": "novalue"], "OTEL_EXPORTER_OTLP_HEADERS"),
        (["OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"], "OTEL_EXPORTER_OTLP_PROTOCOL"),
        (["TRACE_SAMPLE_RATIO": "1.1"], "TRACE_SAMPLE_RATIO"),
        (["OTEL_TRACES_SAMPLER_ARG": "-0.1"], "OTEL_TRACES_SAMPLER_ARG"),
    ])
    func whatIsWrongIsNamed(_ table: [String: String], _ name: String) {
        #expect(self.settings(table).1 == [name])
    }
}

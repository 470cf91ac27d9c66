import HTTPTypes
import Metering
import Testing

@testable import ControlPlane

@Suite struct MetricExpositionTests {
    private static func bucket(_ name: String, _ le: String, _ count: Int) -> MetricSample {
        MetricSample(
            name, help: "H.", kind: .histogram, suffix: "_bucket", labels: [.init("le", le)],
            value: ExactDecimal(coefficient: Int128(count), scale: 0))
    }

    @Test func seriesOfOneNameStandTogetherUnderOneHeader() throws {
        let text = MetricExposition.text([
            MetricSample("b_total", help: "B.", kind: .counter, labels: [.init("x", "q\"\\\n")], count: 2),
            MetricSample("a", help: "A.", kind: .gauge, count: 7),
            MetricSample("b_total", help: "B.", kind: .counter, labels: [.init("x", "1")], count: 1),
        ])
        #expect(
            text == """
                # HELP a A.
                # TYPE a gauge
                a 7
                # HELP b_total B.
                # TYPE b_total counter
                b_total{x="1"} 1
                b_total{x="q\\"\\\\\\n"} 2

                """)
        _ = try ExpositionParser(text)
    }

    /// One source per event loop reports the same series; twice in one scrape would fail the whole scrape.
    @Test func theSameSeriesOfSeveralSourcesIsAdded() throws {
        func seconds(_ coefficient: Int128, _ scale: Int, _ labels: [MetricSample.Label]) -> MetricSample {
            MetricSample(
                "t_seconds_total", help: "T.", kind: .counter, labels: labels,
                value: ExactDecimal(coefficient: coefficient, scale: scale))
        }
        let text = MetricExposition.text([
            seconds(1, 9, [.init("a", "1"), .init("b", "2")]),
            seconds(25, 1, [.init("b", "2"), .init("a", "1")]),
            seconds(5, 0, [.init("a", "1")]),
        ])
        #expect(text.hasSuffix("t_seconds_total{a=\"1\"} 5\nt_seconds_total{a=\"1\",b=\"2\"} 2.500000001\n"))
        _ = try ExpositionParser(text)
    }

    /// By number, not by text: "10" comes after "5", "+Inf" last.
    @Test func bucketsAreInOrderOfTheirBounds() throws {
        let samples = ["+Inf", "10", "0.005", "5"].map { Self.bucket("h_seconds", $0, 1) }
        let ends = ["_count", "_sum"].map {
            MetricSample(
                "h_seconds", help: "H.", kind: .histogram, suffix: $0,
                value: ExactDecimal(coefficient: 5, scale: 1))
        }
        let parsed = try ExpositionParser(MetricExposition.text(ends + samples + samples))
        #expect(
            parsed.order.map { $0.labels.first?.last ?? $0.name } == [
                "0.005", "5", "10", "+Inf", "h_seconds_sum", "h_seconds_count",
            ])
        #expect(parsed.values[.init(name: "h_seconds_bucket", labels: [["le", "5"]])] == "2")
        #expect(parsed.values[.init(name: "h_seconds_sum", labels: [])] == "0.5")
    }

    /// No text of ours or a peer's may start a line of its own.
    @Test(arguments: [
        "plain", "", "\"", "\\", "\n", "\r\n", "a\r\nevil_total 1\r\n", "\\n", "é\u{301}\"", "}{,=\"",
    ])
    func everyTextSurvivesTheFormat(_ text: String) throws {
        let exposition = MetricExposition.text([
            MetricSample(
                "m", help: text, kind: .gauge, labels: [.init("l", text), .init("z", "1")], count: 1)
        ])
        let parsed = try ExpositionParser(exposition)
        let labels = try #require(parsed.order.first?.labels)
        #expect(parsed.order.count == 1)
        #expect(Array(labels[0][1].unicodeScalars) == Array(text.unicodeScalars))
    }

    @Test func sourcesThatDisagreeOnATypeDoNotBreakTheScrape() throws {
        let parsed = try ExpositionParser(
            MetricExposition.text([
                MetricSample("m", help: "M.", kind: .gauge, labels: [.init("a", "1")], count: 1),
                MetricSample("m", help: "N.", kind: .counter, count: 1),
            ]))
        #expect(parsed.types["m"] == "untyped")
    }

    @Test func nothingIsAnEmptyExposition() { #expect(MetricExposition.text([]).isEmpty) }
}

/// `OPS_LISTEN`.
@Suite struct OpsPortTests {
    private struct Source: MetricSource {
        var count: Int
        func samples() -> [MetricSample] {
            [MetricSample("proxy_streams_open", help: "Streams.", kind: .gauge, count: self.count)]
        }
    }

    private func send(
        _ method: HTTPRequest.Method, _ target: String, isReady: Bool = true
    ) async throws -> Reply {
        try await Reply.of(
            OpsPort.router(
                version: "1", sources: [Source(count: 2), Source(count: 3)],
                readiness: { [Readiness("ledger", isReady: isReady)] }), method, target)
    }

    @Test func metricsOfAllSourcesAreServedAsText() async throws {
        let reply = try await self.send(.get, "/metrics")
        #expect(reply.status == 200)
        #expect(reply.headers[.contentType] == "text/plain; version=0.0.4; charset=utf-8")
        let parsed = try ExpositionParser(reply.text)
        #expect(parsed.values[.init(name: "proxy_streams_open", labels: [])] == "5")
    }

    @Test func healthAndReadinessAreThereToo() async throws {
        #expect(try await self.send(.get, "/health").status == 200)
        #expect(try await self.send(.get, "/ready").status == 200)
        #expect(try await self.send(.get, "/ready", isReady: false).status == 503)
        #expect(try await self.send(.get, "/health", isReady: false).status == 200)
    }

    @Test func theBillingAPIIsNotHere() async throws {
        #expect(try await self.send(.get, "/api/billing/summary").status == 404)
        #expect(try await self.send(.post, "/metrics").status == 405)
        #expect(try await self.send(.head, "/metrics").text.isEmpty)
    }
}

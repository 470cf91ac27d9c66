import Metering
import NIOCore

/// What a trace is told. Nothing of it is made for an exchange that is not sampled.
extension Exchange {
    /// The field lines that tell the upstream of this trace; nil: it is told nothing.
    func traceLines() -> String? {
        guard self.loop.configuration.tracing.tellsUpstream, let trace = self.trace else { return nil }
        let span = self.times?.upstreamSpan ?? self.loop.makeSpanID()
        var lines = "traceparent: \(trace.traceparent(from: span))\r\n"
        if let state = self.request.traceState { lines += "tracestate: \(state)\r\n" }
        return lines
    }

    /// - Parameter record: what the access log is told.
    func exportSpan(_ record: AccessRecord) {
        guard let times = self.times, let trace = self.trace, let sink = self.loop.configuration.tracing.sink
        else { return }
        let duration = record.duration.nanoseconds
        let (startedAt, overflows) = (record.finishedAt * 1_000_000).subtractingReportingOverflow(duration)
        guard !overflows else { return }
        var span = ExchangeSpan(
            trace: trace, span: self.loop.makeSpanID(), hold: self.hold, startedAt: startedAt,
            duration: duration, method: record.method, endpoint: record.endpoint.rawValue,
            status: record.status, end: record.end.rawValue)
        span.model = record.model
        span.isStream = record.stream
        span.held = record.held
        span.charged = record.charged
        span.inputTokens = record.inputTokens
        span.outputTokens = record.outputTokens
        span.estimatedBecause = record.estimatedBecause?.rawValue
        span.placing = self.part(times.placing, times.placed, until: duration)
        span.upstream = self.part(self.sentUpstreamAt, self.upstreamEndedAt, until: duration)
        span.upstream?.span = times.upstreamSpan
        span.firstByte = times.upstreamHead.map(self.offset)
        span.firstToken = times.firstToken.map(self.offset)
        span.settling = self.part(times.settling, nil, until: duration)
        sink.take(span)
    }

    private func part(
        _ begin: NIODeadline?, _ end: NIODeadline?, until duration: ExchangeSpan.Offset
    ) -> ExchangeSpan.Part? {
        guard let begin else { return nil }
        return ExchangeSpan.Part(
            span: self.loop.makeSpanID(), begin: self.offset(begin), end: end.map(self.offset) ?? duration)
    }

    private func offset(_ moment: NIODeadline) -> ExchangeSpan.Offset {
        (moment - self.startedAt).nanoseconds
    }
}

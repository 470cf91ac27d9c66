import Metering
import NIOCore

/// Which exchanges are traced, and who hears of it.
public struct Tracing: Sendable {
    /// nil: spans are of no use to anybody, and none are made.
    public var sink: (any SpanSink)?
    /// Of exchanges that come without a trace, those whose random number is below it: 0 none, `.max` all.
    public var sampledBelow: UInt64
    /// `TRACE_UPSTREAM`: the upstream is told the trace.
    public var tellsUpstream: Bool

    public static let off = Tracing(sink: nil, sampledBelow: 0, tellsUpstream: false)

    public init(sink: (any SpanSink)?, sampledBelow: UInt64, tellsUpstream: Bool) {
        self.sink = sink
        self.sampledBelow = sampledBelow
        self.tellsUpstream = tellsUpstream
    }
}

/// When the parts of a traced exchange began and ended.
struct ExchangeTimes {
    var placing: NIODeadline?
    var placed: NIODeadline?
    var upstreamHead: NIODeadline?
    var firstToken: NIODeadline?
    var settling: NIODeadline?
    /// Of the request to the upstream; told there.
    var upstreamSpan: UInt64 = 0
}

extension PendingRequest {
    /// Of `traceparent`; nil when it is absent, there twice, or malformed.
    var traceContext: TraceContext? {
        guard let range = self.head.traceparent, range.upperBound <= self.headBytes.readableBytes else {
            return nil
        }
        return self.headBytes.withUnsafeReadableBytes {
            TraceContext(traceparent: UnsafeRawBufferPointer(rebasing: $0[range]))
        }
    }

    /// `tracestate`, its lines joined; nil when there is none that may go on.
    var traceState: String? {
        let lines = self.headBytes.withUnsafeReadableBytes { bytes in
            self.head.fields.filter { Characters.equal(bytes, $0.name, "tracestate") }.map {
                String(decoding: bytes[$0.value], as: UTF8.self)
            }
        }
        let state = lines.joined(separator: ",")
        return TraceContext.isTraceState(state) ? state : nil
    }
}

extension LoopContext {
    /// The trace of a new exchange: its client's, or one that begins here, for those that are sampled.
    func trace(of request: PendingRequest) -> TraceContext? {
        if let given = request.traceContext { return given }
        let tracing = self.configuration.tracing
        guard tracing.sink != nil, tracing.sampledBelow > 0 else { return nil }
        guard tracing.sampledBelow == .max || self.makeSpanID() < tracing.sampledBelow else { return nil }
        return TraceContext(
            traceHigh: self.makeSpanID(), traceLow: self.makeSpanID(), parent: nil, isSampled: true)
    }
}

import Metering
import NIOCore

/// Which exchanges are traced, and who hears of it.
public struct Tracing: Sendable {
    /// nil: spans are of no use to anybody, and none are made.
    public var sink: (any SpanSink)?
    /// Of exchanges, those whose random number is below it: 0 none, `.max` all. Whoever asks does not choose: a stranger
    /// who says that everything is sampled would fill the collector, and one who says the opposite would hide.
    public var sampledBelow: UInt64
    /// `TRACE_PARENT_BASED`: a trusted peer has chosen already.
    public var followsTrustedPeers: Bool
    /// `TRACE_UPSTREAM`: the upstream is told the trace.
    public var tellsUpstream: Bool

    public static let off = Tracing(sink: nil, sampledBelow: 0, tellsUpstream: false)

    public init(
        sink: (any SpanSink)?, sampledBelow: UInt64, followsTrustedPeers: Bool = false, tellsUpstream: Bool
    ) {
        self.sink = sink
        self.followsTrustedPeers = followsTrustedPeers
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
    ///
    /// - Parameter peer: who is connected, whoever the client is.
    func trace(of request: PendingRequest, from peer: ClientAddress) -> TraceContext? {
        let given = request.traceContext
        let tracing = self.configuration.tracing
        guard tracing.sink != nil else { return given }
        if var given {
            if !tracing.followsTrustedPeers || !self.configuration.trustedPeers.contains(peer) {
                given.isSampled = self.choosesSampling()
            }
            return given
        }
        guard self.choosesSampling() else { return nil }
        return TraceContext(
            traceHigh: self.makeSpanID(), traceLow: self.makeSpanID(), parent: nil, isSampled: true)
    }

    private func choosesSampling() -> Bool {
        let below = self.configuration.tracing.sampledBelow
        return below == .max || self.makeSpanID() < below
    }
}

/// One exchange as a trace tells it: when what happened, and what came of it. No prompt, reply, key or user.
public struct ExchangeSpan: Sendable, Hashable {
    /// Nanoseconds since the beginning of the exchange.
    public typealias Offset = Int64

    /// A part of the exchange, as a span of its own.
    public struct Part: Sendable, Hashable {
        public var span: UInt64
        public var begin: Offset
        public var end: Offset

        public init(span: UInt64, begin: Offset, end: Offset) {
            self.span = span
            self.begin = begin
            self.end = max(begin, end)
        }
    }

    public var trace: TraceContext
    public var span: UInt64
    public var hold: HoldID
    /// Nanoseconds since 1970.
    public var startedAt: Int64
    public var duration: Offset
    public var method: String
    /// Bounded.
    public var endpoint: String
    public var status: Int
    /// How it ended; bounded.
    public var end: String
    public var model: String?
    public var isStream: Bool?
    public var held: Millicredits?
    public var charged: Millicredits?
    public var inputTokens: Int64?
    public var outputTokens: Int64?
    public var estimatedBecause: String?

    public var placing: Part?
    public var upstream: Part?
    /// Of upstream's reply: its head, and the first of what was shown.
    public var firstByte: Offset?
    public var firstToken: Offset?
    public var settling: Part?

    public init(
        trace: TraceContext, span: UInt64, hold: HoldID, startedAt: Int64, duration: Offset, method: String,
        endpoint: String, status: Int, end: String
    ) {
        self.trace = trace
        self.span = span
        self.hold = hold
        self.startedAt = startedAt
        self.duration = duration
        self.method = method
        self.endpoint = endpoint
        self.status = status
        self.end = end
    }
}

/// Takes spans of exchanges that have ended. Called on event loops: never waits, and drops what it has no room for.
public protocol SpanSink: Sendable {
    func take(_ span: ExchangeSpan)
}

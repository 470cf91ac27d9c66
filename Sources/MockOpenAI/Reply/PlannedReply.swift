import NIOCore

/// A reply that is decided before its first byte goes out, whatever the endpoint.
protocol PlannedReply {
    var behaviour: Behaviour { get }
    var stream: Bool { get }
    /// Deltas that a whole stream has; of a whole reply, the visible tokens.
    var deltasTotal: Int { get }
    /// Of the reply that is not a stream.
    var contentType: ReplyHead.ContentType { get }
    /// What is billed besides tokens, as a JSON object for the log; nil: nothing.
    var units: ByteBuffer? { get }

    func makeFrames() -> any ReplyFrames
    /// The body of a reply without `stream`.
    func writeBody(into out: inout ByteBuffer)
    /// Tokens really produced once `deltas` pieces went out; nil where the endpoint counts none.
    func produced(deltas: Int) -> TokenCounts?
    /// The usage object as it goes out, compact; nil when the wire has none that is JSON.
    func loggedUsage() -> ByteBuffer?
}

extension PlannedReply {
    var faults: Faults { behaviour.faults }
}

/// Produces the SSE frames of one streamed reply, one per call.
protocol ReplyFrames {
    var deltasSent: Int { get }
    var usageSent: Bool { get }
    /// Whether the next frame is a delta, which is what `tps` paces.
    var nextIsDelta: Bool { get }
    /// Writes the next frame. After `.end`, `.broken` or `.failed` there is none.
    mutating func next(into out: inout ByteBuffer) -> ReplyFrame
}

/// What the frame that was written is, or why none was.
enum ReplyFrame: Equatable {
    case delta, other
    /// The stream is over, as it should be.
    case end
    /// A fault strikes here: the connection must be cut or left alone.
    case broken
    /// The error frame was written; the stream is over.
    case failed
}

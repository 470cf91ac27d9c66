import NIOCore

/// A reply that was written down as a whole before it goes out: its body, or the events of its stream.
struct ScriptedReply: PlannedReply {
    struct Event {
        enum Kind { case delta, other, usage }
        /// The `event:` line, where the endpoint has one.
        var name: String?
        var data: String
        var kind = Kind.other
    }

    var behaviour: Behaviour
    var stream: Bool
    var contentType = ReplyHead.ContentType.json
    var body = ByteBuffer()
    var events: [Event] = []
    /// The last line of the stream is `data: [DONE]`.
    var endsWithDone = false
    /// An `error` event has the shape of the Responses API.
    var errorIsEvent = false
    /// Everything that is consumed when the reply is whole; nil: the endpoint counts no tokens.
    var counts: TokenCounts?
    /// Output tokens that the deltas of a stream carry; the others come before the first of them.
    var visible = 0
    /// What stands after `"usage":` in a reply that is whole.
    var usage: String?
    var units: ByteBuffer?
    var deltasTotal = 0

    init(_ behaviour: Behaviour, stream: Bool) {
        self.behaviour = behaviour
        self.stream = stream
    }

    var faultAfter: Int { min(behaviour.after ?? deltasTotal / 2, deltasTotal) }

    func makeFrames() -> any ReplyFrames { ScriptedFrames(self) }

    func writeBody(into out: inout ByteBuffer) {
        if faults.contains(.byteOrderMark) { out.writeBytes([0xEF, 0xBB, 0xBF] as [UInt8]) }
        guard faults.contains(.malformed), contentType == .json else {
            out.writeImmutableBuffer(body)
            return
        }
        // Cut off in the middle: no parser can take this for JSON.
        out.writeImmutableBuffer(body.getSlice(at: body.readerIndex, length: body.readableBytes / 2) ?? body)
    }

    func produced(deltas: Int) -> TokenCounts? {
        guard var counts else { return nil }
        let hidden = counts.completion - visible
        counts.completion = hidden + (deltas >= deltasTotal ? visible : min(deltas, visible))
        return counts
    }

    func loggedUsage() -> ByteBuffer? {
        guard faults.isDisjoint(with: [.nullUsage, .malformedUsage, .noUsage]) else { return nil }
        return usage.map { ByteBuffer(string: $0) }
    }
}

/// Produces the frames of a scripted stream, bent by the faults that a stream can have.
struct ScriptedFrames: ReplyFrames {
    private let reply: ScriptedReply
    private var index = 0
    private(set) var deltasSent = 0
    private(set) var usageSent = false
    private var comment = false
    private var brokenLineSent = false
    private var isOver = false

    init(_ reply: ScriptedReply) { self.reply = reply }

    var nextIsDelta: Bool { index < reply.events.count && reply.events[index].kind == .delta }

    private var lineEnd: String {
        reply.faults.contains(.crlf) ? "\r\n" : reply.faults.contains(.carriageReturn) ? "\r" : "\n"
    }

    mutating func next(into out: inout ByteBuffer) -> ReplyFrame {
        guard !isOver else { return .end }
        if reply.faults.contains(.comments) {
            comment.toggle()
            if comment {
                out.writeString(": keep-alive" + lineEnd + lineEnd)
                return .other
            }
        }
        if index == 0, deltasSent == 0 {
            if reply.faults.contains(.byteOrderMark) { out.writeBytes([0xEF, 0xBB, 0xBF] as [UInt8]) }
            if reply.faults.contains(.errorFrameFirst) { return fail(&out) }
        }
        if deltasSent == reply.faultAfter, nextIsDelta || index == reply.events.count,
            let struck = strike(&out)
        {
            return struck
        }
        guard index < reply.events.count else {
            isOver = true
            if reply.endsWithDone, !reply.faults.contains(.noDone) { write(nil, "[DONE]", &out) }
            return .end
        }
        let event = reply.events[index]
        index += 1
        write(event.name, event.data, &out)
        if event.kind == .usage { usageSent = true }
        guard event.kind == .delta else { return .other }
        deltasSent += 1
        return .delta
    }

    private mutating func strike(_ out: inout ByteBuffer) -> ReplyFrame? {
        if !reply.faults.isDisjoint(with: [.cut, .cutReset, .cutBody, .stall]) { return .broken }
        if reply.faults.contains(.errorFrame) { return fail(&out) }
        if reply.faults.contains(.malformed), !brokenLineSent {
            brokenLineSent = true
            write(nil, "{\"type\":\"resp", &out)
            return .other
        }
        return nil
    }

    private mutating func fail(_ out: inout ByteBuffer) -> ReplyFrame {
        isOver = true
        guard reply.errorIsEvent else {
            var body = ByteBuffer()
            ErrorBody.serverError.write(into: &body)
            write(nil, String(buffer: body), &out)
            return .failed
        }
        write(
            "error",
            """
            {"type":"error","code":"server_error","message":"The server had an error while processing your \
            request. Sorry about that!","param":null,"sequence_number":\(index)}
            """, &out)
        return .failed
    }

    private func write(_ name: String?, _ data: String, _ out: inout ByteBuffer) {
        if let name { out.writeString("event: \(name)" + lineEnd) }
        out.writeString("data: " + data + lineEnd + lineEnd)
    }
}

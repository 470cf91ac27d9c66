import NIOCore

/// One line of `GET /_mock/log`: what became of one request.
struct ServedRow {
    var sequence = 0
    var arrival = 0
    var requestID: (UInt64, UInt64)
    var clientRequestID: ByteBuffer?
    var path: ByteBuffer
    var model: ByteBuffer?
    var servedModel: ByteBuffer?
    var stream = false
    var choices = 1
    var cap: Int?
    var includeUsage = false
    var requestedTier: ByteBuffer?
    var servedTier: ByteBuffer?
    /// 0 when no reply head was sent.
    var status = 0
    var faults: Faults = []
    /// The usage object that went out, compact; nil when none did.
    var usage: ByteBuffer?
    /// What was billed besides tokens: `{"web_search":1}`, `{"seconds":9}`.
    var units: ByteBuffer?
    var maxToolCalls: Int?
    /// Nil when nothing was produced (errors, withheld replies).
    var trueCounts: TokenCounts?
    var deltasSent = 0
    var completed = false
    var authorization: ByteBuffer?
    var bodyHash = ByteBuffer()
    var replyHash = ByteBuffer()

    func encoded() -> ByteBuffer {
        var out = ByteBuffer()
        out.reserveCapacity(900)
        out.writeStaticString("{\"seq\":")
        out.writeDecimal(sequence)
        out.writeStaticString(",\"arrival\":")
        out.writeDecimal(arrival)
        out.writeStaticString(",\"request_id\":\"req_")
        out.writeHex(requestID.0)
        out.writeHex(requestID.1)
        out.writeStaticString("\",\"client_request_id\":")
        escaped(clientRequestID, &out)
        out.writeStaticString(",\"path\":")
        escaped(path, &out)
        out.writeStaticString(",\"model\":")
        raw(model, &out)
        out.writeStaticString(",\"served_model\":")
        raw(servedModel, &out)
        out.writeStaticString(stream ? ",\"stream\":true,\"n\":" : ",\"stream\":false,\"n\":")
        out.writeDecimal(choices)
        out.writeStaticString(",\"cap\":")
        if let cap { out.writeDecimal(cap) } else { out.writeStaticString("null") }
        out.writeStaticString(includeUsage ? ",\"include_usage\":true" : ",\"include_usage\":false")
        out.writeStaticString(",\"requested_tier\":")
        raw(requestedTier, &out)
        out.writeStaticString(",\"service_tier\":")
        raw(servedTier, &out)
        out.writeStaticString(",\"status\":")
        out.writeDecimal(status)
        out.writeStaticString(",\"fault\":")
        if faults.isEmpty { out.writeStaticString("null") } else { out.writeString("\"\(faults.words)\"") }
        out.writeStaticString(",\"usage\":")
        if let usage { out.writeImmutableBuffer(usage) } else { out.writeStaticString("null") }
        out.writeStaticString(",\"units\":")
        if let units { out.writeImmutableBuffer(units) } else { out.writeStaticString("{}") }
        out.writeStaticString(",\"max_tool_calls\":")
        if let maxToolCalls { out.writeDecimal(maxToolCalls) } else { out.writeStaticString("null") }
        out.writeStaticString(",\"true_usage\":")
        counts(&out)
        out.writeStaticString(",\"deltas_sent\":")
        out.writeDecimal(deltasSent)
        out.writeStaticString(completed ? ",\"completed\":true" : ",\"completed\":false")
        out.writeStaticString(",\"authorization_seen\":")
        raw(authorization, &out)
        out.writeStaticString(",\"body_sha256\":\"")
        out.writeImmutableBuffer(bodyHash)
        out.writeStaticString("\",\"reply_sha256\":\"")
        out.writeImmutableBuffer(replyHash)
        out.writeStaticString("\"}\n")
        return out
    }

    private func counts(_ out: inout ByteBuffer) {
        guard let trueCounts else {
            out.writeStaticString("null")
            return
        }
        out.writeStaticString("{\"prompt_tokens\":")
        out.writeDecimal(trueCounts.prompt)
        out.writeStaticString(",\"completion_tokens\":")
        out.writeDecimal(trueCounts.completion)
        out.writeStaticString(",\"cached_tokens\":")
        out.writeDecimal(trueCounts.cached)
        out.writeStaticString(",\"reasoning_tokens\":")
        out.writeDecimal(trueCounts.reasoning)
        out.writeStaticString("}")
    }

    /// Raw JSON string contents, already valid between quotation marks.
    private func raw(_ text: ByteBuffer?, _ out: inout ByteBuffer) {
        guard let text else {
            out.writeStaticString("null")
            return
        }
        out.writeStaticString("\"")
        out.writeImmutableBuffer(text)
        out.writeStaticString("\"")
    }

    private func escaped(_ text: ByteBuffer?, _ out: inout ByteBuffer) {
        guard let text else {
            out.writeStaticString("null")
            return
        }
        out.writeEscapedASCII(text)
    }
}

import Metering
import NIOCore

/// Writes a record as one line of JSON. Members that are not known are left out.
enum AccessLine {
    static func write(_ record: AccessRecord, into out: inout ByteBuffer) {
        out.writeStaticString("{\"time\":\"")
        out.writeString(ISO8601.text(millisecondsSinceEpoch: record.finishedAt, withMilliseconds: true))
        out.writeStaticString("\"")
        self.member("plane", record.endpoint == .control ? "control" : "data", into: &out)
        if let hold = record.hold {
            out.writeStaticString(",\"request_id\":\"")
            hold.withTextBytes { _ = out.writeBytes($0) }
            out.writeStaticString("\"")
        }
        self.member("request_id", record.controlRequestID, into: &out)
        if let trace = record.trace { self.member("trace_id", trace.traceID, into: &out) }
        self.member("client", record.client.description, into: &out)
        self.member(
            "http", record.transport == .http2 ? "2" : record.minorVersion == 1 ? "1.1" : "1.0", into: &out)
        self.member("tls", record.transport != .plain, into: &out)
        self.member("method", record.method, into: &out)
        self.member("path", record.path, into: &out)
        self.member("endpoint", record.endpoint.rawValue, into: &out)
        self.member("status", Int64(record.status), into: &out)
        self.member("end", record.end.rawValue, into: &out)
        self.exchange(record, into: &out)
        self.member("request_bytes", Int64(record.requestBytes), into: &out)
        self.member("response_bytes", Int64(record.responseBytes), into: &out)
        self.member("duration_us", record.duration.nanoseconds / 1000, into: &out)
        self.member("first_byte_us", record.firstByte.map { $0.nanoseconds / 1000 }, into: &out)
        self.member("upstream_us", record.upstream.map { $0.nanoseconds / 1000 }, into: &out)
        self.member("upstream_request_id", record.upstreamRequestID, into: &out)
        self.member("upstream_reused", record.upstreamReused, into: &out)
        if record.retried { self.member("retried", true, into: &out) }
        out.writeStaticString("}\n")
    }

    private static func exchange(_ record: AccessRecord, into out: inout ByteBuffer) {
        self.member("user", record.user, into: &out)
        self.member("model", record.model, into: &out)
        self.member("stream", record.stream, into: &out)
        self.member("price_id", record.priceID, into: &out)
        self.member("held_millicredits", record.held?.value, into: &out)
        self.member("charged_millicredits", record.charged?.value, into: &out)
        self.member("waived", record.waiver?.rawValue, into: &out)
        self.member("input_tokens", record.inputTokens, into: &out)
        self.member("output_tokens", record.outputTokens, into: &out)
        self.member("estimated", record.estimatedBecause?.rawValue, into: &out)
    }

    // MARK: Members

    private static func name(_ name: StaticString, into out: inout ByteBuffer) {
        out.writeStaticString(",\"")
        out.writeStaticString(name)
        out.writeStaticString("\":")
    }

    private static func member(_ name: StaticString, _ value: Int64?, into out: inout ByteBuffer) {
        guard let value else { return }
        self.name(name, into: &out)
        if value < 0 { out.writeStaticString("-") }
        out.writeDecimal(Int(value.magnitude))
    }

    private static func member(_ name: StaticString, _ value: Bool?, into out: inout ByteBuffer) {
        guard let value else { return }
        self.name(name, into: &out)
        out.writeStaticString(value ? "true" : "false")
    }

    private static func member(_ name: StaticString, _ value: String?, into out: inout ByteBuffer) {
        guard let value else { return }
        self.name(name, into: &out)
        out.writeStaticString("\"")
        self.escaped(value, into: &out)
        out.writeStaticString("\"")
    }

    /// Members that a client chooses (user, model, path) are cut, as they are written, so that a line stays a line that
    /// `LogFile` can write at once.
    private static let textBytesMax = 256

    private static func escaped(_ text: String, into out: inout ByteBuffer) {
        // Nearly always all of it.
        let plain = text.utf8.prefix(self.textBytesMax).prefix(while: self.isPlain)
        var left = self.textBytesMax - out.writeBytes(plain)
        for scalar in text.unicodeScalars[plain.endIndex...] {
            let escape = self.escape(scalar)
            left -= escape?.utf8.count ?? UTF8.width(scalar)
            guard left >= 0 else { return }
            if let escape { out.writeString(escape) } else { out.writeString(String(scalar)) }
        }
    }

    /// Printable ASCII that means nothing to JSON.
    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x20..<0x7f).contains(byte) && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    /// nil: stands for itself.
    private static func escape(_ scalar: Unicode.Scalar) -> String? {
        switch scalar.value {
        case 0x22: return "\\\""
        case 0x5c: return "\\\\"
        // Control characters, and the two separators that end a line for some readers.
        case 0..<0x20, 0x7f..<0xa0, 0x2028, 0x2029:
            let hex = String(scalar.value, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
        default: return nil
        }
    }
}

import Metering
import NIOCore

/// The bytes of a request as it goes upstream: the client's body with the documented edits, and of its head
/// only what is end-to-end and safe (CONTRACT §4).
enum UpstreamRequest {
    static func bytes(
        _ request: PendingRequest, to endpoint: InspectedEndpoint, edits: [BodyEdit], origin: UpstreamOrigin,
        authorization: [UInt8], trace: String? = nil, buffers: SpareBuffers
    ) -> ByteBuffer {
        let grown = edits.reduce(0) { $0 + $1.replacement.count - $1.range.count }
        let bodyBytes = request.body.readableBytes + grown
        var out = buffers.take(request.head.byteCount + bodyBytes + 512)
        out.writeStaticString("POST ")
        out.writeBytes(origin.target(of: endpoint))
        out.writeStaticString(" HTTP/1.1\r\nHost: ")
        out.writeBytes(origin.hostField)
        out.writeBytes(authorization)
        out.writeStaticString("Accept-Encoding: identity\r\nContent-Length: ")
        out.writeDecimal(bodyBytes)
        out.writeStaticString("\r\n")
        if let trace { out.writeString(trace) }
        request.headBytes.withUnsafeReadableBytes { bytes in
            Self.copyFields(request.head, bytes, into: &out)
        }
        out.writeStaticString("\r\n")
        Self.writeBody(request.body, edits, into: &out)
        return out
    }

    static func copyFields(
        _ head: RequestHead, _ bytes: UnsafeRawBufferPointer, into out: inout ByteBuffer
    ) {
        // Runs of kept lines are copied at once.
        var run: Range<Int>?
        for field in head.fields {
            guard self.passes(bytes, field.name, head) else {
                if let run { out.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[run])) }
                run = nil
                continue
            }
            run = (run?.lowerBound ?? field.line.lowerBound)..<field.line.upperBound
        }
        if let run { out.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[run])) }
    }

    /// Of the client's fields only these: what a field that nobody thought of means to the upstream, or to a proxy
    /// on the way (whose key it is, what path, what part of a reply), is not known.
    /// What the client tells of its traces goes on only when the operator says so, and then as `trace` above.
    /// `Idempotency-Key` ends here: upstream all accounts are one, and two of them may use the same key.
    private static func passes(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>, _ head: RequestHead)
        -> Bool
    {
        self.isListed(bytes, name)
            // Meant for this hop only.
            && !head.connectionOptions.contains { Characters.equal(bytes, $0, name) }
    }

    private static func isListed(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>) -> Bool {
        func named(_ wanted: StaticString) -> Bool { Characters.equal(bytes, name, wanted) }
        switch name.count {
        case 6: return named("accept")
        case 10: return named("user-agent")
        case 11: return named("openai-beta")
        case 12 where named("content-type"): return true
        case 15: return named("accept-language") || self.isStainless(bytes, name)
        case 19 where named("x-client-request-id"): return true
        default: return self.isStainless(bytes, name)
        }
    }

    /// What OpenAI's SDKs tell of themselves (`x-stainless-lang`).
    private static func isStainless(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>) -> Bool {
        let prefix: StaticString = "x-stainless-"
        let count = prefix.utf8CodeUnitCount
        return name.count > count
            && Characters.equal(bytes, name.lowerBound..<name.lowerBound + count, prefix)
            // Programs that turn names into variables read `x_y` as `x-y`.
            && !name.contains { bytes[$0] == UInt8(ascii: "_") }
    }

    private static func writeBody(_ body: ByteBuffer, _ edits: [BodyEdit], into out: inout ByteBuffer) {
        body.withUnsafeReadableBytes { bytes in
            var at = 0
            for edit in edits {
                out.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[at..<edit.range.lowerBound]))
                out.writeBytes(edit.replacement)
                at = edit.range.upperBound
            }
            out.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[at...]))
        }
    }
}

extension ByteBuffer {
    /// Decimal digits of a non-negative number, without a String.
    mutating func writeDecimal(_ value: Int) {
        precondition(value >= 0, "only lengths and amounts that are never negative are written here")
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { room in
            var value = value
            var at = room.count
            repeat {
                at -= 1
                room[at] = 0x30 + UInt8(value % 10)
                value /= 10
            } while value > 0
            _ = self.writeBytes(UnsafeRawBufferPointer(rebasing: room[at...]))
        }
    }

    mutating func writeHexadecimal(_ value: Int) {
        precondition(value >= 0, "only lengths are written here")
        var digits: (UInt64, UInt64) = (0, 0)
        withUnsafeMutableBytes(of: &digits) { room in
            var value = value
            var at = room.count
            repeat {
                at -= 1
                let nibble = UInt8(value & 15)
                room[at] = nibble < 10 ? 0x30 + nibble : 0x57 + nibble
                value >>= 4
            } while value > 0
            _ = self.writeBytes(UnsafeRawBufferPointer(rebasing: room[at...]))
        }
    }
}

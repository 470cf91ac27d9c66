import Metering
import NIOCore

/// The bytes of a request as it goes upstream: the client's body with the documented edits, and of its head
/// only what is end-to-end and safe (CONTRACT §4).
enum UpstreamRequest {
    static func bytes(
        _ request: PendingRequest, edits: [BodyEdit], origin: UpstreamOrigin, authorization: [UInt8],
        allocator: ByteBufferAllocator
    ) -> ByteBuffer {
        let grown = edits.reduce(0) { $0 + $1.replacement.count - $1.range.count }
        let bodyBytes = request.body.readableBytes + grown
        var out = allocator.buffer(capacity: request.head.byteCount + bodyBytes + 512)
        out.writeStaticString("POST ")
        out.writeBytes(origin.chatPath)
        out.writeStaticString(" HTTP/1.1\r\nHost: ")
        out.writeBytes(origin.hostField)
        out.writeBytes(authorization)
        out.writeStaticString("Accept-Encoding: identity\r\nContent-Length: ")
        out.writeDecimal(bodyBytes)
        out.writeStaticString("\r\n")
        request.headBytes.withUnsafeReadableBytes { bytes in
            Self.copyFields(request.head, bytes, into: &out)
        }
        out.writeStaticString("\r\n")
        Self.writeBody(request.body, edits, into: &out)
        return out
    }

    private static func copyFields(
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

    private static func passes(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>, _ head: RequestHead)
        -> Bool
    {
        func named(_ wanted: StaticString) -> Bool { Characters.equal(bytes, name, wanted) }
        func begins(_ wanted: StaticString) -> Bool {
            name.count >= wanted.utf8CodeUnitCount
                && Characters.equal(
                    bytes, name.lowerBound..<name.lowerBound + wanted.utf8CodeUnitCount, wanted)
        }
        switch name.count {
        case 2 where named("te"), 3 where named("via"), 4 where named("host"),
            6 where named("cookie") || named("expect"):
            return false
        case 7 where named("trailer") || named("upgrade"): return false
        case 9 where named("forwarded") || named("x-real-ip"): return false
        case 10 where named("connection") || named("keep-alive"): return false
        case 13 where named("authorization"): return false
        case 14 where named("content-length") || named("openai-project"): return false
        case 15 where named("accept-encoding"): return false
        case 17 where named("transfer-encoding"): return false
        case 19 where named("openai-organization"): return false
        default: break
        }
        // Programs that turn names into variables read `content_length` as `content-length`.
        if name.contains(where: { bytes[$0] == UInt8(ascii: "_") }) { return false }
        if begins("x-tollgate-") || begins("proxy-") || begins("x-forwarded-") { return false }
        return !Self.endsHere(bytes, name, head)
    }

    /// Named in `Connection`: meant for this hop only.
    private static func endsHere(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>, _ head: RequestHead)
        -> Bool
    {
        var ends = false
        for value in head.connectionValues {
            Characters.forEachListItem(bytes, value) { item in
                ends =
                    ends
                    || item.count == name.count
                        && zip(item, name).allSatisfy { bytes[$0] | 0x20 == bytes[$1] | 0x20 }
            }
        }
        return ends
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

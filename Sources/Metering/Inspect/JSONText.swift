/// Escapes and UTF-8 sequences.
enum JSONText {
    /// Behind the escape that starts at `at`, surrogate pairs taken together; nil when it is malformed.
    static func escapeEnd(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> Int? {
        guard at + 1 < bytes.count else { return nil }
        switch bytes[at + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return at + 2
        case UInt8(ascii: "u"):
            guard let unit = self.hexadecimal(bytes, at + 2) else { return nil }
            guard 0xd800...0xdfff ~= unit else { return at + 6 }
            guard unit < 0xdc00, at + 7 < bytes.count, bytes[at + 6] == UInt8(ascii: "\\"),
                bytes[at + 7] == UInt8(ascii: "u"), let low = self.hexadecimal(bytes, at + 8),
                0xdc00...0xdfff ~= low
            else { return nil }
            return at + 12
        default:
            return nil
        }
    }

    private static func hexadecimal(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32? {
        guard at + 4 <= bytes.count else { return nil }
        var value: UInt32 = 0
        for index in at..<at + 4 {
            switch bytes[index] {
            case 0x30...0x39: value = value << 4 | UInt32(bytes[index] - 0x30)
            case 0x61...0x66: value = value << 4 | UInt32(bytes[index] - 0x57)
            case 0x41...0x46: value = value << 4 | UInt32(bytes[index] - 0x37)
            default: return nil
            }
        }
        return value
    }

    /// Behind the well-formed multi-byte sequence that starts at `at` (Unicode, table 3-7); nil when it is
    /// not one.
    static func sequenceEnd(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> Int? {
        func isTail(_ offset: Int, _ low: UInt8 = 0x80, _ high: UInt8 = 0xbf) -> Bool {
            at + offset < bytes.count && bytes[at + offset] >= low && bytes[at + offset] <= high
        }
        switch bytes[at] {
        case 0xc2...0xdf: return isTail(1) ? at + 2 : nil
        case 0xe0: return isTail(1, 0xa0) && isTail(2) ? at + 3 : nil
        case 0xed: return isTail(1, 0x80, 0x9f) && isTail(2) ? at + 3 : nil
        case 0xe1...0xef: return isTail(1) && isTail(2) ? at + 3 : nil
        case 0xf0: return isTail(1, 0x90) && isTail(2) && isTail(3) ? at + 4 : nil
        case 0xf1...0xf3: return isTail(1) && isTail(2) && isTail(3) ? at + 4 : nil
        case 0xf4: return isTail(1, 0x80, 0x8f) && isTail(2) && isTail(3) ? at + 4 : nil
        default: return nil
        }
    }

    /// Behind the run of well-formed multi-byte sequences that starts at `at`; nil when one is not well
    /// formed.
    static func sequencesEnd(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> Int? {
        var at = at
        while at < bytes.count, bytes[at] >= 0x80 {
            guard let next = self.sequenceEnd(bytes, at) else { return nil }
            at = next
        }
        return at
    }

    /// The text of a validated string.
    static func unescape(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> String {
        var out: [UInt8] = []
        out.reserveCapacity(range.count)
        _ = self.unescape(bytes, range, into: &out, countMax: .max)
        return String(decoding: out, as: UTF8.self)
    }

    /// Appends the text of a part of a validated string that begins outside of an escape, until there are `countMax`
    /// bytes or a few more.
    /// - Returns: where in `bytes` to go on, again outside of an escape.
    static func unescape(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, into out: inout [UInt8], countMax: Int
    ) -> Int {
        var at = range.lowerBound
        while at < range.upperBound, out.count < countMax {
            guard bytes[at] == UInt8(ascii: "\\") else {
                out.append(bytes[at])
                at += 1
                continue
            }
            switch bytes[at + 1] {
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0c)
            case UInt8(ascii: "n"): out.append(0x0a)
            case UInt8(ascii: "r"): out.append(0x0d)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "u"):
                at = self.appendUnicode(bytes, at, &out)
                continue
            default: out.append(bytes[at + 1])
            }
            at += 2
        }
        return at
    }

    private static func appendUnicode(_ bytes: UnsafeRawBufferPointer, _ at: Int, _ out: inout [UInt8]) -> Int
    {
        var scalar = self.hexadecimal(bytes, at + 2) ?? 0xfffd
        var end = at + 6
        if 0xd800...0xdbff ~= scalar, let low = self.hexadecimal(bytes, at + 8) {
            scalar = 0x10000 + (scalar - 0xd800) << 10 + (low - 0xdc00)
            end = at + 12
        }
        out.append(
            contentsOf: UTF8.encode(Unicode.Scalar(scalar) ?? "\u{fffd}") ?? UTF8.encodedReplacementCharacter)
        return end
    }

    /// Unicode scalars of a validated string; surrogate pairs are one.
    static func scalarCount(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int64 {
        var count: Int64 = 0
        var at = range.lowerBound
        while at < range.upperBound {
            let isEscape = bytes[at] == UInt8(ascii: "\\")
            if bytes[at] & 0xc0 != 0x80 { count += 1 }
            at = isEscape ? self.escapeEnd(bytes, at) ?? range.upperBound : at + 1
        }
        return count
    }

    static func text(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, escaped: Bool) -> String {
        escaped ? self.unescape(bytes, range) : String(decoding: bytes[range], as: UTF8.self)
    }
}

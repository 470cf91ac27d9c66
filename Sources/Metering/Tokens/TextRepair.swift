/// UTF-8 that may be wrong, as Python's `bytes.decode("utf-8", errors="replace")` reads it: each maximal beginning of
/// a scalar that goes wrong, and each byte that begins none, is one U+FFFD.
enum TextRepair {
    static let replacement: [UInt8] = [0xef, 0xbf, 0xbd]

    enum Scalar: Equatable {
        case whole(bytes: Int)
        case wrong(bytes: Int)
        /// All there is may begin a scalar, whose end is missing.
        case cut(bytes: Int)
    }

    /// Bytes from the start that are whole scalars.
    @inline(__always)
    static func validPrefix(_ bytes: BytePointer, _ count: Int) -> Int {
        var at = 0
        while at < count {
            if at &+ 8 <= count,
                UnsafeRawPointer(bytes).loadUnaligned(fromByteOffset: at, as: UInt64.self)
                    & 0x8080_8080_8080_8080 == 0
            {
                at &+= 8
                continue
            }
            if bytes[at] < 0x80 {
                at &+= 1
                continue
            }
            // The common case of three bytes that are not at the borders of what is allowed.
            if bytes[at] > 0xe0, bytes[at] < 0xed, at &+ 3 <= count, self.isContinuation(bytes[at &+ 1]),
                self.isContinuation(bytes[at &+ 2])
            {
                at &+= 3
                continue
            }
            guard case .whole(let length) = self.scalar(bytes + at, count &- at) else { return at }
            at &+= length
        }
        return at
    }

    @inline(__always)
    private static func isContinuation(_ byte: UInt8) -> Bool { byte & 0xc0 == 0x80 }

    /// The first scalar of some bytes, at least one.
    static func scalar(_ bytes: BytePointer, _ count: Int) -> Scalar {
        let first = bytes[0]
        let length: Int
        switch first {
        case ..<0x80: return .whole(bytes: 1)
        case 0xc2...0xdf: length = 2
        case 0xe0...0xef: length = 3
        case 0xf0...0xf4: length = 4
        default: return .wrong(bytes: 1)
        }
        for index in 1..<length {
            guard index < count else { return .cut(bytes: count) }
            let isRight =
                index == 1
                ? self.secondByte(after: first).contains(bytes[1]) : self.isContinuation(bytes[index])
            guard isRight else { return .wrong(bytes: index) }
        }
        return .whole(bytes: length)
    }

    /// No overlong forms, no surrogates, nothing above U+10FFFF.
    private static func secondByte(after first: UInt8) -> ClosedRange<UInt8> {
        switch first {
        case 0xe0: 0xa0...0xbf
        case 0xed: 0x80...0x9f
        case 0xf0: 0x90...0xbf
        case 0xf4: 0x80...0x8f
        default: 0x80...0xbf
        }
    }
}

extension TextRepair {
    /// A copy of a text with all that is wrong replaced.
    static func repaired(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count + HeldText.padding)
        guard let start = text.baseAddress else { return result }
        var at = 0
        while at < text.count {
            let valid = self.validPrefix(start + at, text.count - at)
            result += UnsafeBufferPointer(start: start + at, count: valid)
            at += valid
            guard at < text.count else { break }
            switch self.scalar(start + at, text.count - at) {
            case .whole: preconditionFailure("the valid prefix goes on as long as scalars are whole")
            case .wrong(let bytes), .cut(let bytes):
                result += self.replacement
                at += bytes
            }
        }
        return result
    }
}

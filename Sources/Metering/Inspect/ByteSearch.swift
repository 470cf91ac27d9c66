/// Finds the bytes at which a scanner has to stop, eight at a time.
///
/// Each mask marks its bytes in their top bits. A borrow can mark a byte falsely only behind a true one, so
/// the lowest mark is always true, and it is the only one that is used.
enum ByteSearch {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let tops: UInt64 = 0x8080_8080_8080_8080

    @inline(__always)
    private static func mark(_ word: UInt64, below limit: UInt64) -> UInt64 {
        (word &- self.ones &* limit) & ~word & self.tops
    }

    @inline(__always)
    private static func mark(_ word: UInt64, equalTo byte: UInt64) -> UInt64 {
        self.mark(word ^ (self.ones &* byte), below: 1)
    }

    @inline(__always)
    private static func word(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }

    /// The first carriage return at or behind `start`; the end when there is none.
    static func carriageReturn(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var at = start
        while at &+ 8 <= bytes.count {
            let marks = self.mark(self.word(bytes, at), equalTo: 0x0d)
            if marks != 0 { return at &+ marks.trailingZeroBitCount >> 3 }
            at &+= 8
        }
        while at < bytes.count, bytes[at] != 0x0d { at &+= 1 }
        return at
    }

    /// The first quote, backslash or control character at or behind `start`; the end when there is none.
    @inline(__always)
    static func stringStop(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var at = start
        while at &+ 8 <= bytes.count {
            let word = self.word(bytes, at)
            let marks =
                self.mark(word, equalTo: 0x22) | self.mark(word, equalTo: 0x5c) | self.mark(word, below: 0x20)
            if marks != 0 { return at &+ marks.trailingZeroBitCount >> 3 }
            at &+= 8
        }
        while at < bytes.count {
            let byte = bytes[at]
            if byte == 0x22 || byte == 0x5c || byte < 0x20 { return at }
            at &+= 1
        }
        return at
    }

    /// As `stringStop`, and stops at bytes beyond ASCII too.
    @inline(__always)
    static func asciiStringStop(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var at = start
        while at &+ 8 <= bytes.count {
            let word = self.word(bytes, at)
            let marks =
                self.mark(word, equalTo: 0x22) | self.mark(word, equalTo: 0x5c) | self.mark(word, below: 0x20)
                | (word & self.tops)
            if marks != 0 { return at &+ marks.trailingZeroBitCount >> 3 }
            at &+= 8
        }
        while at < bytes.count {
            let byte = bytes[at]
            if byte == 0x22 || byte == 0x5c || byte < 0x20 || byte > 0x7f { return at }
            at &+= 1
        }
        return at
    }

    /// Whether one of the eight bytes from `at` on is a control character, `;`, `%`, `~` or DEL.
    @inline(__always)
    static func needsEscape(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> Bool {
        let word = self.word(bytes, at)
        // The last bit aside, `~` and DEL are one.
        let last = word | self.ones
        let marks =
            self.mark(word, below: 0x20) | self.mark(word, equalTo: 0x3b) | self.mark(word, equalTo: 0x25)
            | self.mark(last, equalTo: 0x7f)
        return marks != 0
    }

    /// The first line feed or carriage return at or behind `start`; nil when there is none.
    @inline(__always)
    static func lineEnd(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int? {
        var at = start
        // Hardly a byte of a line is as low as either.
        while at &+ 16 <= bytes.count {
            let (word, next) = (self.word(bytes, at), self.word(bytes, at &+ 8))
            guard self.mark(word, below: 0x0e) | self.mark(next, below: 0x0e) == 0 else { break }
            at &+= 16
        }
        while at &+ 8 <= bytes.count {
            let word = self.word(bytes, at)
            let marks = self.mark(word, equalTo: 0x0a) | self.mark(word, equalTo: 0x0d)
            if marks != 0 { return at &+ marks.trailingZeroBitCount >> 3 }
            at &+= 8
        }
        while at < bytes.count {
            if bytes[at] == 0x0a || bytes[at] == 0x0d { return at }
            at &+= 1
        }
        return nil
    }

    /// The first byte at or behind `start` that is no blank of JSON's; the end when there is none.
    @inline(__always)
    static func blanksEnd(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var at = start
        while at < bytes.count {
            let byte = bytes[at]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 else {
                return at
            }
            at &+= 1
            // Behind a line feed stands what the line is indented by.
            while byte == 0x0a, at &+ 8 <= bytes.count {
                let others = self.word(bytes, at) ^ self.ones &* 0x20
                at &+= others.trailingZeroBitCount >> 3
                if others != 0 { break }
            }
        }
        return at
    }

    /// Whether `count` bytes here and there are the same.
    @inline(__always)
    static func equal(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ count: Int) -> Bool {
        @inline(__always)
        func isSame(_ at: Int) -> Bool {
            left.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                == right.loadUnaligned(fromByteOffset: at, as: UInt64.self)
        }
        @inline(__always)
        func isHalfSame(_ at: Int) -> Bool {
            left.loadUnaligned(fromByteOffset: at, as: UInt32.self)
                == right.loadUnaligned(fromByteOffset: at, as: UInt32.self)
        }
        guard count >= 8 else {
            if count >= 4 { return isHalfSame(0) && isHalfSame(count &- 4) }
            for at in 0..<count
            where left.load(fromByteOffset: at, as: UInt8.self)
                != right.load(fromByteOffset: at, as: UInt8.self)
            {
                return false
            }
            return true
        }
        var at = 0
        while at &+ 8 <= count {
            guard isSame(at) else { return false }
            at &+= 8
        }
        return isSame(count &- 8)
    }

    /// Whether these are the bytes of `wanted`; nil is equal to nothing.
    @inline(__always)
    static func equals(_ bytes: UnsafeRawBufferPointer?, _ wanted: StaticString) -> Bool {
        guard let bytes else { return false }
        return bytes.count == wanted.utf8CodeUnitCount && self.matches(bytes, 0, wanted)
    }

    /// Whether the bytes from `start` on are exactly `wanted`; the caller has compared the length.
    @inline(__always)
    static func matches(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ wanted: StaticString) -> Bool {
        guard let base = bytes.baseAddress else { return wanted.utf8CodeUnitCount == 0 }
        return self.equal(base + start, wanted.utf8Start, wanted.utf8CodeUnitCount)
    }
}

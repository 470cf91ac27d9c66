/// A validating walk over JSON bytes that copies nothing. Strings come back as ranges of the raw bytes
/// between the quotation marks, escapes left as they stand.
struct JSONCursor {
    struct Malformed: Error {}
    static let depthMax = 256

    let bytes: UnsafeRawBufferPointer
    private(set) var at = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func skipBlanks() {
        while at < bytes.count {
            let byte = bytes[at]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            at += 1
        }
    }

    /// The next significant byte, not consumed.
    mutating func peek() throws(Malformed) -> UInt8 {
        skipBlanks()
        guard at < bytes.count else { throw Malformed() }
        return bytes[at]
    }

    mutating func expect(_ byte: UInt8) throws(Malformed) {
        guard try peek() == byte else { throw Malformed() }
        at += 1
    }

    /// Nothing but blanks may follow.
    mutating func end() throws(Malformed) {
        skipBlanks()
        guard at == bytes.count else { throw Malformed() }
    }

    mutating func string() throws(Malformed) -> Range<Int> {
        try expect(UInt8(ascii: "\""))
        let start = at
        while true {
            skipPlainBytes()
            guard at < bytes.count else { throw Malformed() }
            switch bytes[at] {
            case UInt8(ascii: "\""):
                at += 1
                return start..<(at - 1)
            case UInt8(ascii: "\\"): try escape()
            case 0..<0x20: throw Malformed()
            default: at += 1
            }
        }
    }

    /// Eight bytes at a time over text that holds no quotation mark, backslash or control character.
    private mutating func skipPlainBytes() {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        while at + 8 <= bytes.count {
            let word = bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            let quote = word ^ (ones &* 0x22)
            let slash = word ^ (ones &* 0x5C)
            let special =
                ((quote &- ones) & ~quote) | ((slash &- ones) & ~slash) | ((word &- (ones &* 0x20)) & ~word)
            guard special & highs == 0 else { return }
            at += 8
        }
    }

    private mutating func escape() throws(Malformed) {
        guard at + 1 < bytes.count else { throw Malformed() }
        switch bytes[at + 1] {
        case 0x22, 0x5C, 0x2F, 0x62, 0x66, 0x6E, 0x72, 0x74: at += 2
        case UInt8(ascii: "u"):
            guard at + 6 <= bytes.count else { throw Malformed() }
            for digit in bytes[(at + 2)..<(at + 6)] {
                guard (0x30...0x39).contains(digit) || (0x61...0x66).contains(digit | 0x20) else {
                    throw Malformed()
                }
            }
            at += 6
        default: throw Malformed()
        }
    }

    /// Visits each member of an object; `visit` must consume the value.
    mutating func members(
        _ visit: (_ key: Range<Int>, _ cursor: inout JSONCursor) throws(Malformed) -> Void
    ) throws(Malformed) {
        try expect(UInt8(ascii: "{"))
        if try peek() == UInt8(ascii: "}") {
            at += 1
            return
        }
        while true {
            let key = try string()
            try expect(UInt8(ascii: ":"))
            try visit(key, &self)
            let next = try peek()
            at += 1
            if next == UInt8(ascii: "}") { return }
            guard next == UInt8(ascii: ",") else { throw Malformed() }
        }
    }

    /// Visits each element of an array; `visit` must consume it.
    mutating func elements(
        _ visit: (_ cursor: inout JSONCursor) throws(Malformed) -> Void
    ) throws(Malformed) {
        try expect(UInt8(ascii: "["))
        if try peek() == UInt8(ascii: "]") {
            at += 1
            return
        }
        while true {
            try visit(&self)
            let next = try peek()
            at += 1
            if next == UInt8(ascii: "]") { return }
            guard next == UInt8(ascii: ",") else { throw Malformed() }
        }
    }

    /// Consumes one value of any kind and returns its bytes.
    @discardableResult
    mutating func skipValue(depth: Int = 0) throws(Malformed) -> Range<Int> {
        guard depth < Self.depthMax else { throw Malformed() }
        let first = try peek()
        let start = at
        switch first {
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "{"):
            try members { (_, cursor) throws(Malformed) in try cursor.skipValue(depth: depth + 1) }
        case UInt8(ascii: "["):
            try elements { (cursor) throws(Malformed) in try cursor.skipValue(depth: depth + 1) }
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: try number()
        }
        return start..<at
    }

    private mutating func literal(_ word: StaticString) throws(Malformed) {
        guard matches(at..<min(at + word.utf8CodeUnitCount, bytes.count), word) else { throw Malformed() }
        at += word.utf8CodeUnitCount
    }

    private mutating func number() throws(Malformed) {
        if at < bytes.count, bytes[at] == UInt8(ascii: "-") { at += 1 }
        let leadingZero = at < bytes.count && bytes[at] == 0x30
        let whole = digits()
        guard whole > 0, !(leadingZero && whole > 1) else { throw Malformed() }
        if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
            at += 1
            guard digits() > 0 else { throw Malformed() }
        }
        if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            if at < bytes.count, bytes[at] == UInt8(ascii: "-") || bytes[at] == UInt8(ascii: "+") { at += 1 }
            guard digits() > 0 else { throw Malformed() }
        }
    }

    private mutating func digits() -> Int {
        let start = at
        while at < bytes.count, (0x30...0x39).contains(bytes[at]) { at += 1 }
        return at - start
    }

    func matches(_ range: Range<Int>, _ word: StaticString) -> Bool {
        guard range.count == word.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count where bytes[range.lowerBound + offset] != word.utf8Start[offset] {
            return false
        }
        return true
    }

    /// The integer that these bytes spell; nil for a fraction, another type, or more than 15 digits.
    func integer(_ range: Range<Int>) -> Int? {
        guard !range.isEmpty, range.count <= 16 else { return nil }
        var value = 0
        for byte in bytes[range] where byte != UInt8(ascii: "-") {
            guard (0x30...0x39).contains(byte) else { return nil }
            value = value * 10 + Int(byte - 0x30)
        }
        return bytes[range.lowerBound] == UInt8(ascii: "-") ? -value : value
    }
}

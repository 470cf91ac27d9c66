import Glibc

/// Finds the end of a head, remembering how far it looked, so that a head that comes byte by byte is not
/// read again from its start each time. Refuses a line feed that no carriage return precedes, or that two do, as
/// soon as it is seen: some readers end a head at `CR CR CR LF`, and waiting for more would leave the rest to them.
struct HeadSearch {
    private var searched = 0

    enum Found: Equatable {
        case incomplete
        /// Bytes of the head, the blank line included.
        case end(Int)
        case invalid(HeadFault)
    }

    mutating func find(_ bytes: UnsafeRawBufferPointer, limits: HeadLimits) -> Found {
        guard let base = bytes.baseAddress else { return .incomplete }
        var at = self.searched
        while at < bytes.count {
            guard let hit = memchr(base + at, 0x0a, bytes.count - at) else { break }
            let lineFeed = hit - UnsafeMutableRawPointer(mutating: base)
            guard lineFeed > 0, bytes[lineFeed - 1] == 0x0d else { return .invalid(.bareLF) }
            at = lineFeed + 1
            guard lineFeed >= 2 else { continue }
            switch bytes[lineFeed - 2] {
            case 0x0a where lineFeed >= 3: return at <= limits.bytesMax ? .end(at) : .invalid(.headTooLarge)
            case 0x0d: return .invalid(.bareCR)
            default: break
            }
        }
        // A pair cut between two reads is found by its LF, which looks back at the CR.
        self.searched = bytes.count
        return bytes.count >= limits.bytesMax ? .invalid(.headTooLarge) : .incomplete
    }
}

/// What both kinds of head share: field lines with their syntax checked, and the fields that frame the body.
struct FieldScan {
    var fields: ContiguousArray<FieldLine> = []
    private(set) var contentLength: Int?
    private(set) var transferEncoding: Range<Int>?
    private(set) var isChunked = false
    private var connectionClose = false
    private var connectionKeepAlive = false
    /// The items of all `Connection` fields: names of fields that end at this hop, besides `close` and `keep-alive`.
    private(set) var connectionOptions: ContiguousArray<Range<Int>> = []
    /// Every field that could go on is compared with each of them.
    static let connectionOptionsMax = 32

    /// Whether the sender keeps the connection open; `close` wins over `keep-alive`.
    func keepsAlive(minorVersion: Int) -> Bool {
        !self.connectionClose && (minorVersion == 1 || self.connectionKeepAlive)
    }

    /// Reads the lines of `bytes[from..<to]`; `to` is the start of the blank line.
    mutating func scan(_ bytes: UnsafeRawBufferPointer, from: Int, to: Int, limits: HeadLimits) -> HeadFault?
    {
        self.fields.reserveCapacity(16)
        var start = from
        while start < to {
            guard let base = bytes.baseAddress, let hit = memchr(base + start, 0x0a, to - start) else {
                return .bareCR
            }
            let end = hit - UnsafeMutableRawPointer(mutating: base)
            guard self.fields.count < limits.fieldsMax else { return .tooManyFields }
            if let fault = self.line(bytes, start, end - 1) { return fault }
            start = end + 1
        }
        return nil
    }

    /// One line, `start..<end` without its CRLF.
    private mutating func line(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> HeadFault? {
        guard start < end else { return .badFieldName }
        if bytes[start] == 0x20 || bytes[start] == 0x09 { return .obsoleteFold }
        let colon = Characters.tokenEnd(bytes, start, end)
        guard colon < end, colon > start, bytes[colon] == UInt8(ascii: ":") else {
            let isSpace = colon < end && colon > start && (bytes[colon] == 0x20 || bytes[colon] == 0x09)
            return isSpace ? .spaceBeforeColon : .badFieldName
        }
        var low = colon + 1
        var high = end
        while low < high, bytes[low] == 0x20 || bytes[low] == 0x09 { low += 1 }
        while high > low, bytes[high - 1] == 0x20 || bytes[high - 1] == 0x09 { high -= 1 }
        let fault = Characters.firstOutsideFieldValue(bytes, low, high)
        guard fault == high else { return bytes[fault] == 0x0d ? .bareCR : .nulByte }
        self.fields.append(FieldLine(line: start..<end + 2, name: start..<colon, value: low..<high))
        return self.frame(bytes, start..<colon, low..<high)
    }

    /// A tab on either side of a value.
    private func hasTab(
        _ bytes: UnsafeRawBufferPointer, after name: Range<Int>, _ value: Range<Int>
    ) -> Bool {
        var at = name.upperBound + 1
        while at < value.lowerBound {
            if bytes[at] == 0x09 { return true }
            at += 1
        }
        // The line goes on with blanks up to its CR.
        at = value.upperBound
        while bytes[at] != 0x0d {
            if bytes[at] == 0x09 { return true }
            at += 1
        }
        return false
    }

    /// Notes the fields that say where the message ends.
    private mutating func frame(
        _ bytes: UnsafeRawBufferPointer, _ name: Range<Int>, _ value: Range<Int>
    ) -> HeadFault? {
        switch name.count {
        case 10 where Characters.equal(bytes, name, "connection"):
            return self.noteConnection(bytes, value)
        case 14 where Characters.equal(bytes, name, "content-length"):
            guard self.contentLength == nil else { return .repeatedField }
            // Blanks around a value may be tabs, but not all readers think so of this one.
            guard !self.hasTab(bytes, after: name, value) else { return .badLength }
            guard let length = Characters.decimal(bytes, value) else { return .badLength }
            self.contentLength = length
        case 17 where Characters.equal(bytes, name, "transfer-encoding"):
            guard self.transferEncoding == nil else { return .repeatedField }
            guard !self.hasTab(bytes, after: name, value) else { return .unknownTransferCoding }
            // Only `chunked`, alone: every other coding would hide bytes that must be metered.
            guard Characters.equal(bytes, value, "chunked") else { return .unknownTransferCoding }
            self.transferEncoding = value
            self.isChunked = true
        default:
            break
        }
        return nil
    }

    private mutating func noteConnection(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) -> HeadFault? {
        Characters.forEachListItem(bytes, value) { item in
            // One more than may come is enough to know.
            guard self.connectionOptions.count <= Self.connectionOptionsMax else { return }
            self.connectionOptions.append(item)
            if Characters.equal(bytes, item, "close") { self.connectionClose = true }
            if Characters.equal(bytes, item, "keep-alive") { self.connectionKeepAlive = true }
        }
        return self.connectionOptions.count <= Self.connectionOptionsMax ? nil : .tooManyOptions
    }
}

/// Character classes of RFC 9110, and the few comparisons that heads need.
enum Characters {
    private static let tokenTable: [Bool] = (0..<256).map { code in
        switch UInt8(code) {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(UInt8(code))
        }
    }

    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        // Letters, digits and the hyphen are nearly all of it.
        let lower = byte | 0x20
        if lower >= 0x61 && lower <= 0x7a || byte == 0x2d || byte >= 0x30 && byte <= 0x39 { return true }
        return Self.tokenTable[Int(byte)]
    }

    @inline(__always)
    static func isFieldValue(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7f || byte == 0x09 }

    /// The first byte of `bytes[low..<high]` that no token may have; `high` when there is none.
    @inline(__always)
    static func tokenEnd(_ bytes: UnsafeRawBufferPointer, _ low: Int, _ high: Int) -> Int {
        Self.firstOutside(bytes, low, high, Self.plainTokenBytes, Self.isToken)
    }

    /// The first byte of `bytes[low..<high]` that no value may have; `high` when there is none.
    @inline(__always)
    static func firstOutsideFieldValue(_ bytes: UnsafeRawBufferPointer, _ low: Int, _ high: Int) -> Int {
        Self.firstOutside(bytes, low, high, Self.plainValueBytes, Self.isFieldValue)
    }

    /// The first byte of `bytes[low..<high]` that is of no class; `high` when there is none.
    ///
    /// - Parameters:
    ///   - plain: how many of eight bytes, from the first on, are of the class beyond doubt.
    ///   - isMember: of the class, for a byte that is left in doubt.
    @inline(__always)
    private static func firstOutside(
        _ bytes: UnsafeRawBufferPointer, _ low: Int, _ high: Int, _ plain: (UInt64) -> Int,
        _ isMember: (UInt8) -> Bool
    ) -> Int {
        var at = low
        while at < high {
            if at + 8 <= bytes.count {
                // What it finds behind `high` is cut off at the end.
                let count = plain(
                    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
                at += count
                guard count < 8 else { continue }
                if at >= high { break }
            }
            guard isMember(bytes[at]) else { return at }
            at += 1
        }
        return min(at, high)
    }

    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let tops: UInt64 = 0x8080_8080_8080_8080

    /// How many of the eight bytes, from the first on, are letters, digits or hyphens: nearly all of every name.
    @inline(__always)
    private static func plainTokenBytes(_ word: UInt64) -> Int {
        // Without its top bit no byte carries into the next.
        let low = word & ~Self.tops
        func isAtLeast(_ bound: UInt64, _ word: UInt64) -> UInt64 { word &+ Self.ones &* (0x80 - bound) }
        let lower = low | Self.ones &* 0x20
        let letters = isAtLeast(0x61, lower) & ~isAtLeast(0x7b, lower)
        let digits = isAtLeast(0x30, low) & ~isAtLeast(0x3a, low)
        let hyphens = isAtLeast(0x2d, low) & ~isAtLeast(0x2e, low)
        let others = (~(letters | digits | hyphens) | word) & Self.tops
        return others.trailingZeroBitCount >> 3
    }

    /// How many of the eight bytes, from the first on, are neither below 0x20 nor 0x7f.
    @inline(__always)
    private static func plainValueBytes(_ word: UInt64) -> Int {
        let controls = (word &- Self.ones &* 0x20) & ~word
        let deleted = word ^ Self.ones &* 0x7f
        // A borrow marks a byte falsely only behind one that is marked truly, and the first mark is what counts.
        let marks = (controls | (deleted &- Self.ones) & ~deleted) & Self.tops
        return marks.trailingZeroBitCount >> 3
    }

    /// Compares without regard to case; `wanted` is lower case.
    @inline(__always)
    static func equal(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ wanted: StaticString) -> Bool {
        guard range.count == wanted.utf8CodeUnitCount else { return false }
        for index in 0..<range.count {
            let byte = bytes[range.lowerBound + index]
            let lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
            guard lower == wanted.utf8Start[index] else { return false }
        }
        return true
    }

    static func same(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        guard one.count == other.count else { return false }
        guard let start = one.baseAddress, let otherStart = other.baseAddress else { return true }
        return memcmp(start, otherStart, one.count) == 0
    }

    /// A name or address with an optional port, by the bytes that occur in one; no list, path or userinfo.
    static func isHost(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        range.allSatisfy { index in
            switch bytes[index] {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "%"):
                true
            default: false
            }
        }
    }

    /// Compares two places of the same bytes without regard to the case of letters.
    static func equal(_ bytes: UnsafeRawBufferPointer, _ one: Range<Int>, _ other: Range<Int>) -> Bool {
        func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte }
        return one.count == other.count && zip(one, other).allSatisfy { lower(bytes[$0]) == lower(bytes[$1]) }
    }

    /// The items of a comma-separated list, without the blanks around them; empty ones are left out.
    static func forEachListItem(
        _ bytes: UnsafeRawBufferPointer, _ list: Range<Int>, _ body: (Range<Int>) -> Void
    ) {
        var start = list.lowerBound
        while start <= list.upperBound {
            var end = start
            while end < list.upperBound, bytes[end] != UInt8(ascii: ",") { end += 1 }
            var low = start
            var high = end
            while low < high, bytes[low] == 0x20 || bytes[low] == 0x09 { low += 1 }
            while high > low, bytes[high - 1] == 0x20 || bytes[high - 1] == 0x09 { high -= 1 }
            if low < high { body(low..<high) }
            start = end + 1
        }
    }

    /// Digits only, at most 18 of them, so that it cannot overflow.
    static func decimal(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int? {
        guard !range.isEmpty, range.count <= 18 else { return nil }
        var value = 0
        for index in range {
            let digit = bytes[index] &- 0x30
            guard digit <= 9 else { return nil }
            value = value * 10 + Int(digit)
        }
        return value
    }
}

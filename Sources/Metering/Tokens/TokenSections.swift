/// The sections of a table as pointers, and the lookups in them. Whoever holds one keeps its `TokenTable`.
///
/// Lookups that take bytes read up to 16 of them from where they begin: the caller has them readable.
// SAFETY: what it points to is never written.
struct TokenSections: @unchecked Sendable {
    let short: UnsafeRawPointer
    let shortLines: UInt64
    let medium: UnsafeRawPointer
    let mediumLines: UInt64
    let longSlots: UnsafePointer<UInt32>
    let longMask: UInt64
    let longRecords: UnsafePointer<UInt32>
    let longBytes: UnsafePointer<UInt8>
    let trie: UnsafePointer<UInt64>
    let fails: UnsafePointer<UInt32>
    let pairs: UnsafePointer<UInt64>
    let pairMask: UInt64
    let pairFilter: UnsafePointer<UInt64>
    let records: UnsafePointer<UInt64>
    let suffixes: UnsafePointer<UInt32>
    let classBlocks: UnsafePointer<UInt8>
    let classes: UnsafePointer<UInt8>
    let asciiClasses: UnsafePointer<UInt8>
    let byteTokens: UnsafePointer<UInt32>
    let bytePairs: UnsafePointer<UInt32>

    // MARK: Whole tokens

    /// The id of a token of `count` bytes (1 to 8), which are `key`; none when there is no such token.
    @inline(__always)
    func shortToken(_ key: UInt64, _ count: Int) -> UInt32 {
        var number = self.shortLines.multipliedFullWidth(by: TokenTableFormat.shortHash(key, count)).high
        while true {
            let line = self.short + Int(truncatingIfNeeded: number &<< 6)
            // Which of the five keys it is, computed: a mispredicted branch costs more than the line itself.
            // Unused keys are all ones, which no text is, so at most one fits. None: 5, where the flag stands,
            // whose top byte is no length.
            let missed =
                Self.weight(line, 0, key, 5) &+ Self.weight(line, 8, key, 4) &+ Self.weight(line, 16, key, 3)
                &+ Self.weight(line, 24, key, 2) &+ Self.weight(line, 32, key, 1)
            let entry = line.load(fromByteOffset: 40 &+ (5 &- missed) &<< 2, as: UInt32.self)
            if Int(entry >> 24) == count { return entry & UInt32(TokenTableFormat.tokenMask) }
            if line.load(fromByteOffset: 60, as: UInt32.self) & 1 == 0 { return TokenTableFormat.none }
            number &+= 1
            if number == self.shortLines { number = 0 }
        }
    }

    /// `weight` when the key at an offset is this one, else 0.
    @inline(__always)
    private static func weight(_ line: UnsafeRawPointer, _ offset: Int, _ key: UInt64, _ weight: Int) -> Int {
        let difference = line.load(fromByteOffset: offset, as: UInt64.self) ^ key
        return Int(truncatingIfNeeded: ((difference | (0 &- difference)) >> 63) ^ 1) &* weight
    }

    /// As `shortToken`, for 9 to 16 bytes.
    @inline(__always)
    func mediumToken(_ low: UInt64, _ high: UInt64, _ count: Int) -> UInt32 {
        var number = self.mediumLines.multipliedFullWidth(by: TokenTableFormat.mediumHash(low, high, count))
            .high
        while true {
            let line = self.medium + Int(truncatingIfNeeded: number &<< 6)
            var slot = 3
            for index in 0..<3 {
                let keyLow = line.load(fromByteOffset: index &<< 4, as: UInt64.self)
                let keyHigh = line.load(fromByteOffset: index &<< 4 &+ 8, as: UInt64.self)
                if (keyLow ^ low) | (keyHigh ^ high) == 0 { slot = index }
            }
            let entry = line.load(fromByteOffset: 48 &+ slot &<< 2, as: UInt32.self)
            if Int(entry >> 24) == count { return entry & UInt32(TokenTableFormat.tokenMask) }
            if line.load(fromByteOffset: 60, as: UInt32.self) & 1 == 0 { return TokenTableFormat.none }
            number &+= 1
            if number == self.mediumLines { number = 0 }
        }
    }

    /// As `shortToken`, for 17 bytes and more.
    func longToken(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt32 {
        guard count <= TokenTableFormat.tokenBytesMax else { return TokenTableFormat.none }
        var slot = TokenTableFormat.longHash(bytes, count) & self.longMask
        while true {
            let record = self.longSlots[Int(truncatingIfNeeded: slot)]
            if record == TokenTableFormat.none { return record }
            let place = self.longRecords[Int(record) &* 2 &+ 1]
            if Int(place >> 24) == count,
                ByteSearch.equal(self.longBytes + Int(place & 0xff_ffff), bytes, count)
            {
                return self.longRecords[Int(record) &* 2]
            }
            slot = (slot &+ 1) & self.longMask
        }
    }

    // MARK: Records

    @inline(__always)
    func length(_ token: UInt32) -> Int { Int(truncatingIfNeeded: self.records[Int(token)] & 0xff) }

    /// The two that a token was merged from; itself twice for a single byte.
    @inline(__always)
    func left(_ token: UInt32) -> UInt32 {
        UInt32(truncatingIfNeeded: self.records[Int(token)] >> 8 & TokenTableFormat.tokenMask)
    }

    @inline(__always)
    func right(_ token: UInt32) -> UInt32 {
        UInt32(truncatingIfNeeded: self.records[Int(token)] >> 26 & TokenTableFormat.tokenMask)
    }

    // MARK: Trie

    /// A unit of the trie: the byte that leads to it with a mark (9 bits), the base of its children (23), the
    /// longest token that its bytes end with, plus one (18), and in the top bit whether its bytes are that token.
    enum Unit {
        static let isToken: UInt64 = 1 << 63

        @inline(__always)
        static func base(_ unit: UInt64) -> UInt64 { unit >> 9 & 0x7f_ffff }
        @inline(__always)
        static func isChild(_ unit: UInt64, _ byte: UInt64) -> Bool { unit & 0x1ff == byte | 0x100 }
        @inline(__always)
        static func token(_ unit: UInt64) -> UInt32 {
            UInt32(truncatingIfNeeded: unit >> 32 & TokenTableFormat.tokenMask) &- 1
        }
    }

    /// The longest token that the bytes begin with. There is one: all single bytes are tokens.
    @inline(__always)
    func longestToken(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> UInt32 {
        var unit = self.trie[0]
        var best = unit
        var at = start
        while at < end {
            let byte = UInt64(at.pointee)
            unit = self.trie[Int(truncatingIfNeeded: Unit.base(unit) ^ byte)]
            if !Unit.isChild(unit, byte) { break }
            if unit & Unit.isToken != 0 { best = unit }
            at += 1
        }
        return Unit.token(best)
    }

    /// From the place in the trie of the longest suffix of some text to that of the text and one byte more.
    @inline(__always)
    func follow(_ place: UInt32, _ byte: UInt8) -> UInt32 {
        var place = place
        let byte = UInt64(byte)
        while true {
            let child = Unit.base(self.trie[Int(place)]) ^ byte
            if Unit.isChild(self.trie[Int(truncatingIfNeeded: child)], byte) {
                return UInt32(truncatingIfNeeded: child)
            }
            if place == 0 { return 0 }
            place = self.fails[Int(place)]
        }
    }

    // MARK: Pairs

    /// What two neighbours merge to; none when they do not.
    @inline(__always)
    func merged(_ left: UInt32, _ right: UInt32) -> UInt32 {
        let key = TokenTableFormat.pairKey(left, right)
        let hash = TokenTableFormat.pairHash(key)
        let place = TokenTableFormat.pairFilterPlace(hash)
        if self.pairFilter[place.word] & place.bits != place.bits { return TokenTableFormat.none }
        var slot = TokenTableFormat.pairSlot(hash) & self.pairMask
        while true {
            let pair = self.pairs[Int(truncatingIfNeeded: slot)]
            if pair >> TokenTableFormat.tokenBits == key {
                return UInt32(truncatingIfNeeded: pair & TokenTableFormat.tokenMask)
            }
            if pair == .max { return TokenTableFormat.none }
            slot = (slot &+ 1) & self.pairMask
        }
    }

    /// Whether merging by rank ever leaves these two beside each other: it undoes the merges of both from the last to
    /// the first, and looks whether a pair across the border would have been merged earlier.
    @inline(__always)
    func mayStandTogether(_ left: UInt32, _ right: UInt32) -> Bool {
        Compatibility.check(left, right, merged: self.merged, left: self.left, right: self.right)
    }
}

/// The rule of `mayStandTogether` (the idea is of github's rust-gems `bpe`), once for tables and their builder.
enum Compatibility {
    @inline(__always)
    static func check(
        _ first: UInt32, _ second: UInt32, merged: (UInt32, UInt32) -> UInt32, left: (UInt32) -> UInt32,
        right: (UInt32) -> UInt32
    ) -> Bool {
        var first = first
        var second = second
        var limit = UInt32.max
        while true {
            // "None" is larger than any limit but the first.
            if merged(first, second) < limit { return false }
            if first > second {
                limit = first
                first = right(first)
                if first == limit {
                    limit = second &+ 1
                    second = left(second)
                    if second &+ 1 == limit { return true }
                }
            } else {
                limit = second &+ 1
                second = left(second)
                if second &+ 1 == limit {
                    limit = first
                    first = right(first)
                    if first == limit { return true }
                }
            }
        }
    }
}

/// How a table lies in memory. All numbers are little endian; each section begins on a cache line.
///
/// A table is made by ourselves from a vocabulary with a pinned checksum. Its own checksum finds damage; it is no
/// defence against someone who may write the file.
enum TokenTableFormat {
    /// "tolltokn"
    static let magic: UInt64 = 0x6e6b_6f74_6c6c_6f74
    static let version: UInt64 = 1
    static let headBytes = 512
    static let lineBytes = 64

    /// Ids have 18 bits everywhere, in lookups with one to spare for "none".
    static let tokenBits: UInt64 = 18
    static let tokenMask: UInt64 = 1 << tokenBits - 1
    static let tokensMax = 1 << 18 - 1
    static let tokenBytesMax = 128

    /// Words of the head, each of eight bytes.
    enum Head {
        static let magic = 0
        static let version = 1
        static let encoding = 2
        static let bytes = 3
        static let checksum = 4
        static let tokens = 5
        /// Offset and bytes of each section, two words each.
        static let sections = 8
    }

    enum Section: Int, CaseIterable {
        /// Tokens of up to 8 bytes: lines of 5 keys of 8 bytes, 5 entries of 4, and a flag: the next line goes on.
        case short
        /// Tokens of 9 to 16 bytes: lines of 3 keys of 16 bytes, 3 entries of 4, and the flag.
        case medium
        /// Longer tokens: slots of 4 bytes that number a record, or are all ones.
        case longSlots
        /// Records of the longer tokens: id, and place in `longBytes` with the length in the top byte.
        case longRecords
        case longBytes
        /// A trie of all tokens as a double array, units of 8 bytes.
        case trie
        /// For each unit of the trie the unit of its longest proper suffix that is in the trie: 4 bytes.
        case fails
        /// Slots of 8 bytes: left id, right id, the id they merge to; or all ones.
        case pairs
        /// A bit field in front of `pairs`: most pairs that do not merge are not in it.
        case pairFilter
        /// For each token its length, the two it was merged from, and the longest token it begins with: 8 bytes.
        case records
        /// For each token the longest other token that it ends with, plus one: 4 bytes.
        case suffixes
        case classBlocks
        case classes
        case asciiClasses
        /// Ids of the single bytes.
        case byteTokens
        /// Ids of all pairs of bytes, first byte low; or all ones.
        case bytePairs
    }

    static let none: UInt32 = .max

    // MARK: Hashes

    @inline(__always)
    static func mix(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = (left ^ 0x9e37_79b9_7f4a_7c15).multipliedFullWidth(by: right ^ 0xe703_7ed1_a0b4_28db)
        return product.high ^ product.low
    }

    @inline(__always)
    static func shortHash(_ key: UInt64, _ count: Int) -> UInt64 {
        let factor = 0xd6e8_feb8_6659_fd93 &+ UInt64(truncatingIfNeeded: count)
        let product = (key ^ 0x9e37_79b9_7f4a_7c15).multipliedFullWidth(by: factor)
        return product.high ^ product.low
    }

    @inline(__always)
    static func mediumHash(_ low: UInt64, _ high: UInt64, _ count: Int) -> UInt64 {
        self.mix(low, high &+ UInt64(truncatingIfNeeded: count))
    }

    /// Of at least 8 bytes.
    static func longHash(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
        let raw = UnsafeRawPointer(bytes)
        var hash = UInt64(truncatingIfNeeded: count)
        var at = 0
        while at &+ 8 <= count {
            hash = self.mix(
                hash ^ raw.loadUnaligned(fromByteOffset: at, as: UInt64.self), 0x8ebc_6af0_9c88_c6e3)
            at &+= 8
        }
        let tail = raw.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
        return self.mix(hash ^ tail, 0x5899_65cc_7537_4cc3)
    }

    @inline(__always)
    static func pairKey(_ left: UInt32, _ right: UInt32) -> UInt64 {
        UInt64(left) << self.tokenBits | UInt64(right)
    }

    @inline(__always)
    static func pairHash(_ key: UInt64) -> UInt64 { key &* 0x9e37_79b9_7f4a_7c15 }

    static let pairFilterBits: UInt64 = 21

    /// The word of the filter and the two bits in it that stand for a pair.
    @inline(__always)
    static func pairFilterPlace(_ hash: UInt64) -> (word: Int, bits: UInt64) {
        let bit = hash >> (64 - self.pairFilterBits)
        return (Int(truncatingIfNeeded: bit >> 6), 1 &<< (bit & 63) | 1 &<< ((hash >> 37) & 63))
    }

    @inline(__always)
    static func pairSlot(_ hash: UInt64) -> UInt64 { hash >> 32 }

    /// The first `count` bytes of a key in one register, the others zero. `count` is 1 to 8.
    @inline(__always)
    static func masked(_ word: UInt64, _ count: Int) -> UInt64 {
        word & (~0 &>> UInt64(truncatingIfNeeded: 64 &- count &<< 3))
    }

    /// Of all the words of a table but that of the checksum itself. The count is a multiple of eight.
    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var sum: UInt64 = 0
        for at in stride(from: 0, to: bytes.count & ~7, by: 8) where at != Head.checksum * 8 {
            sum = self.mix(sum ^ bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self), UInt64(at))
        }
        return sum
    }
}

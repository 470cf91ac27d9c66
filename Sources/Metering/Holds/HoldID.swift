/// Identity of a hold, made by the proxy: a UUIDv7 (RFC 9562), so ids are ordered by time. The idempotency
/// key in Redis, journal and Postgres, and the `x-tollgate-request-id` that clients see.
public struct HoldID: Sendable, Hashable {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// - Parameters:
    ///   - millisecondsSinceEpoch: wall clock; 48 bits are used.
    ///   - randomA: 12 bits are used.
    ///   - randomB: 62 bits are used.
    public init(millisecondsSinceEpoch: UInt64, randomA: UInt16, randomB: UInt64) {
        self.high = millisecondsSinceEpoch << 16 | 0x7000 | UInt64(randomA & 0x0fff)
        self.low = 0x8000_0000_0000_0000 | randomB & 0x3fff_ffff_ffff_ffff
    }

    /// What `Set` and `Dictionary` ask for. Ids are made here, with 62 random bits, and come back from our own stores only, so
    /// mixing them is enough; tables of holds are asked two dozen times for each exchange. (Without it `hash(into:)` would be
    /// used: slower, and as correct.)
    @inlinable
    public func _rawHashValue(seed: Int) -> Int {
        let word = self.low ^ self.high &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(bitPattern: Int64(seed))
        // Both halves of the product, so that high bits count for the low ones, which choose the bucket.
        let product = word.multipliedFullWidth(by: 0xff51_afd7_ed55_8ccd)
        return Int(truncatingIfNeeded: product.high ^ product.low)
    }

    /// Milliseconds since 1970 that the id carries.
    public var millisecondsSinceEpoch: UInt64 { self.high >> 16 }

    /// Reads `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` in either case; nil for anything else.
    public init?(text: some StringProtocol) {
        var words: (UInt64, UInt64) = (0, 0)
        var digits = 0
        var position = 0
        for byte in text.utf8 {
            if position == 8 || position == 13 || position == 18 || position == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
            } else {
                guard let nibble = Self.nibble(byte) else { return nil }
                if digits < 16 { words.0 = words.0 << 4 | nibble } else { words.1 = words.1 << 4 | nibble }
                digits += 1
            }
            position += 1
        }
        guard position == 36, digits == 32 else { return nil }
        self.init(high: words.0, low: words.1)
    }

    /// Characters of the canonical text.
    public static let textBytes = 36

    /// Hands the 36 characters of the canonical lower-case text to `body`, without a heap allocation.
    @inlinable
    public func withTextBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        var text: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
        return try withUnsafeMutableBytes(of: &text) { room in
            self.writeText(to: room, at: 0)
            return try body(UnsafeRawBufferPointer(rebasing: room[..<Self.textBytes]))
        }
    }

    /// Writes the 36 characters of the canonical lower-case text.
    /// - Precondition: `memory` has room for them behind `offset`.
    public func writeText(to memory: UnsafeMutableRawBufferPointer, at offset: Int) {
        precondition(offset >= 0 && memory.count - offset >= Self.textBytes, "the caller makes room for ids")
        func put(_ digits: UInt64, _ position: Int) {
            memory.storeBytes(of: digits.bigEndian, toByteOffset: offset + position, as: UInt64.self)
        }
        func putHalf(_ digits: UInt64, _ position: Int) {
            let half = UInt32(truncatingIfNeeded: digits).bigEndian
            memory.storeBytes(of: half, toByteOffset: offset + position, as: UInt32.self)
        }
        let time = Self.digits(UInt32(truncatingIfNeeded: self.high))
        let random = Self.digits(UInt32(truncatingIfNeeded: self.low >> 32))
        put(Self.digits(UInt32(truncatingIfNeeded: self.high >> 32)), 0)
        putHalf(time >> 32, 9)
        putHalf(time, 14)
        putHalf(random >> 32, 19)
        putHalf(random, 24)
        put(Self.digits(UInt32(truncatingIfNeeded: self.low)), 28)
        let dash = UInt8(ascii: "-")
        memory[offset + 8] = dash
        memory[offset + 13] = dash
        memory[offset + 18] = dash
        memory[offset + 23] = dash
    }

    /// Eight hexadecimal digits, the first one in the highest byte: all of them at once, a nibble to a byte.
    private static func digits(_ word: UInt32) -> UInt64 {
        var nibbles = UInt64(word)
        nibbles = (nibbles << 16 | nibbles) & 0x0000_ffff_0000_ffff
        nibbles = (nibbles << 8 | nibbles) & 0x00ff_00ff_00ff_00ff
        nibbles = (nibbles << 4 | nibbles) & 0x0f0f_0f0f_0f0f_0f0f
        // 1 in each byte that is above 9, whose digit is a letter.
        let letters = (nibbles &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return nibbles &+ 0x3030_3030_3030_3030 &+ letters &* 39
    }

    private static func nibble(_ byte: UInt8) -> UInt64? {
        switch byte {
        case 48...57: UInt64(byte - 48)
        case 97...102: UInt64(byte - 87)
        case 65...70: UInt64(byte - 55)
        default: nil
        }
    }
}

extension HoldID: CustomStringConvertible {
    public var description: String { self.withTextBytes { String(decoding: $0, as: UTF8.self) } }
}

extension HoldID: Comparable {
    public static func < (left: HoldID, right: HoldID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}

/// Identity of one run of one proxy process: the owner of its holds. Also a UUIDv7.
public typealias BootID = HoldID

/// Internal number of an account: who pays.
public typealias AccountID = Int64

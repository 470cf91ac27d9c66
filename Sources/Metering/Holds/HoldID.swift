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

    /// Writes the 36 characters of the canonical lower-case text through `write`, without a heap allocation.
    @inline(__always)
    public func withTextBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withUnsafeTemporaryAllocation(byteCount: 36, alignment: 1) { buffer in
            var at = 0
            for (word, groups) in [(self.high, 0), (self.low, 1)] {
                for digit in 0..<16 {
                    if (groups == 0 && (digit == 8 || digit == 12))
                        || (groups == 1 && (digit == 0 || digit == 4))
                    {
                        buffer[at] = UInt8(ascii: "-")
                        at += 1
                    }
                    let nibble = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * digit)) & 15
                    buffer[at] = nibble < 10 ? 48 + nibble : 87 + nibble
                    at += 1
                }
            }
            return try body(UnsafeRawBufferPointer(buffer))
        }
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

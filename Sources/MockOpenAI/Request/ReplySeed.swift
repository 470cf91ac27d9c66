#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif
import NIOCore

/// The numbers that make replies deterministic.
enum ReplySeed {
    /// Hash of two ranges of the body (messages and model); equal for equal bytes on every machine.
    static func hash(_ bytes: UnsafeRawBufferPointer, _ first: Range<Int>, _ second: Range<Int>) -> UInt64 {
        mix(mix(0x9E37_79B9_7F4A_7C15, bytes, first), bytes, second)
    }

    private static func mix(_ seed: UInt64, _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> UInt64 {
        var state = seed ^ UInt64(range.count)
        var at = range.lowerBound
        while at + 8 <= range.upperBound {
            state = step(
                state ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
            at += 8
        }
        var rest: UInt64 = 0
        while at < range.upperBound {
            rest = rest << 8 | UInt64(bytes[at])
            at += 1
        }
        return scramble(step(state ^ rest))
    }

    private static func step(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
        return product.high ^ product.low
    }

    /// The finaliser of SplitMix64: neighbouring inputs give unrelated outputs.
    static func scramble(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// FNV-1a, for the model table.
    static func fnv(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }

    static func contains(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ word: StaticString
    ) -> Bool {
        find(bytes, range, word) != nil
    }

    /// Offset of the first occurrence of `word` (at least one byte) in the range.
    static func find(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ word: StaticString) -> Int? {
        let length = word.utf8CodeUnitCount
        guard range.count >= length, let base = bytes.baseAddress else { return nil }
        var at = range.lowerBound
        let last = range.upperBound - length
        while at <= last {
            guard let hit = memchr(base + at, Int32(word.utf8Start[0]), last - at + 1) else { return nil }
            at = base.distance(to: UnsafeRawPointer(hit))
            if memcmp(base + at, word.utf8Start, length) == 0 { return at }
            at += 1
        }
        return nil
    }

    /// Applies every `[[mock …]]` in the body, in order. Free of copies when there is none.
    static func applyDirectives(
        in body: ByteBuffer, to behaviour: inout Behaviour
    ) throws(Behaviour.BadDirective) {
        var found = behaviour
        let result = body.withUnsafeReadableBytes { bytes -> Result<Void, Behaviour.BadDirective> in
            Result { () throws(Behaviour.BadDirective) in
                var from = 0
                while let open = find(bytes, from..<bytes.count, "[[mock ") {
                    let start = open + 7
                    guard let close = find(bytes, start..<min(bytes.count, start + 512), "]]") else {
                        throw Behaviour.BadDirective(key: "[[mock without ]]")
                    }
                    try found.apply(bytes[start..<close])
                    from = close + 2
                }
            }
        }
        try result.get()
        behaviour = found
    }
}

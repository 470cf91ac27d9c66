/// Decimal digits, written into memory of the caller's without a String: what every outcome, command and batch is made of.
public enum DecimalDigits {
    /// Of an Int64 with its sign.
    public static let bytesMax = 20

    @inlinable
    public static func count(of number: Int64) -> Int {
        var count = number < 0 ? 2 : 1
        var bound: UInt64 = 10
        // It ends at 10^19, which is below 2^64 and above every magnitude.
        while number.magnitude >= bound {
            bound *= 10
            count += 1
        }
        return count
    }

    /// Returns how many bytes were written.
    /// - Precondition: `memory` has room for them behind `offset`.
    @inlinable
    public static func write(
        _ number: Int64, to memory: UnsafeMutableRawBufferPointer, at offset: Int
    ) -> Int {
        if number >= 0, number < 10, offset < memory.count {
            memory[offset] = UInt8(truncatingIfNeeded: 48 + number)
            return 1
        }
        let count = Self.count(of: number)
        precondition(count <= memory.count - offset, "the caller makes room for its numbers")
        var rest = number.magnitude
        var at = offset + count
        while rest >= 10 {
            let next = rest / 10
            at -= 1
            memory[at] = UInt8(truncatingIfNeeded: 48 + (rest - next * 10))
            rest = next
        }
        memory[at - 1] = UInt8(truncatingIfNeeded: 48 + rest)
        if number < 0 { memory[offset] = UInt8(ascii: "-") }
        return count
    }
}

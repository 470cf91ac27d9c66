/// Decimal digits, written into memory of the caller's without a String: what every outcome, command and batch is made of.
public enum DecimalDigits {
    /// Of an Int64 with its sign.
    public static let bytesMax = 20

    @inlinable
    public static func count(of number: Int64) -> Int {
        var count = number < 0 ? 2 : 1
        var rest = number.magnitude
        while rest >= 10 {
            rest /= 10
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
        let count = Self.count(of: number)
        precondition(count <= memory.count - offset, "the caller makes room for its numbers")
        var rest = number.magnitude
        var at = offset + count
        repeat {
            at -= 1
            memory[at] = UInt8(truncatingIfNeeded: 48 + rest % 10)
            rest /= 10
        } while rest != 0
        if number < 0 { memory[offset] = UInt8(ascii: "-") }
        return count
    }
}

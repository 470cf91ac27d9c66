/// Bytes as text, two digits each.
public enum Hexadecimal {
    /// In lower case.
    public static func text(_ bytes: some Sequence<UInt8>) -> String {
        String(decoding: self.digits(bytes), as: UTF8.self)
    }

    /// In lower case, in ASCII.
    public static func digits(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var digits: [UInt8] = []
        digits.reserveCapacity(2 * bytes.underestimatedCount)
        for byte in bytes {
            digits.append(self.digit(byte >> 4))
            digits.append(self.digit(byte & 15))
        }
        return digits
    }

    private static func digit(_ nibble: UInt8) -> UInt8 {
        nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
    }
}

import NIOCore

extension ByteBuffer {
    mutating func writeDecimal(_ value: Int) {
        if value >= 0, value < 10 {
            writeInteger(UInt8(ascii: "0") + UInt8(value))
            return
        }
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
            var at = 20
            var rest = value.magnitude
            repeat {
                at -= 1
                digits[at] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            } while rest > 0
            if value < 0 {
                at -= 1
                digits[at] = UInt8(ascii: "-")
            }
            _ = writeBytes(UnsafeRawBufferPointer(rebasing: digits[at...]))
        }
    }

    /// `digits` lower-case hexadecimal digits of the low end of `value`.
    mutating func writeHex(_ value: UInt64, digits: Int = 16) {
        withUnsafeTemporaryAllocation(byteCount: 16, alignment: 1) { text in
            var rest = value
            for at in stride(from: digits - 1, through: 0, by: -1) {
                let nibble = UInt8(rest & 15)
                text[at] = nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
                rest >>= 4
            }
            _ = writeBytes(UnsafeRawBufferPointer(rebasing: text[..<digits]))
        }
    }

    /// A chunk-size line: hexadecimal without leading zeros, CRLF.
    mutating func writeChunkSize(_ size: Int) {
        let digits = max(1, (Int.bitWidth - size.leadingZeroBitCount + 3) / 4)
        writeHex(UInt64(size), digits: digits)
        writeStaticString("\r\n")
    }

    /// The bytes as a JSON string, quotation marks included; other than ASCII becomes `?` (header values).
    mutating func writeEscapedASCII(_ text: ByteBuffer) {
        writeInteger(UInt8(ascii: "\""))
        for byte in text.readableBytesView {
            if byte == 0x22 || byte == 0x5C { writeInteger(UInt8(ascii: "\\")) }
            writeInteger((0x20..<0x7F).contains(byte) ? byte : UInt8(ascii: "?"))
        }
        writeInteger(UInt8(ascii: "\""))
    }
}

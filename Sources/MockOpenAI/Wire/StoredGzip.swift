import NIOCore

/// A gzip stream of stored (uncompressed) blocks: valid for every inflater and free of a compressor.
struct StoredGzip {
    private var crc: UInt32 = 0xFFFF_FFFF
    private var count: UInt32 = 0
    private var started = false

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
    }

    /// Wraps all of `plain`. The first call also writes the header.
    mutating func wrap(_ plain: ByteBuffer, into out: inout ByteBuffer) {
        if !started {
            started = true
            out.writeBytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF] as [UInt8])
        }
        for byte in plain.readableBytesView {
            crc = Self.table[Int((crc ^ UInt32(byte)) & 0xFF)] ^ (crc >> 8)
        }
        count &+= UInt32(truncatingIfNeeded: plain.readableBytes)
        var rest = plain
        while let block = rest.readSlice(length: min(65_535, rest.readableBytes)), block.readableBytes > 0 {
            let length = UInt16(block.readableBytes)
            out.writeInteger(UInt8(0))
            out.writeInteger(length, endianness: .little)
            out.writeInteger(~length, endianness: .little)
            out.writeImmutableBuffer(block)
        }
    }

    /// The last, empty block and the trailer.
    mutating func finish(into out: inout ByteBuffer) {
        if !started { wrap(ByteBuffer(), into: &out) }
        out.writeBytes([1, 0, 0, 0xFF, 0xFF] as [UInt8])
        out.writeInteger(~crc, endianness: .little)
        out.writeInteger(count, endianness: .little)
    }
}

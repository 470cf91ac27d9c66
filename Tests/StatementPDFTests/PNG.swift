/// The smallest writer of PNG: one colour, blocks that are stored and not compressed.
enum PNG {
    static func image(width: Int, height: Int) -> [UInt8] {
        let row = [0] + Array(repeating: [UInt8(0x1c), 0x40, 0x6e], count: width).joined()
        let pixels = Array(Array(repeating: row, count: height).joined())
        let size = self.big(UInt32(width)) + self.big(UInt32(height)) + [8, 2, 0, 0, 0]
        return [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] + self.chunk("IHDR", size)
            + self.chunk("IDAT", self.zlib(pixels)) + self.chunk("IEND", [])
    }

    private static func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(name.utf8) + data
        return self.big(UInt32(data.count)) + body + self.big(self.crc(body))
    }

    private static func zlib(_ data: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = [0x78, 0x01]
        var start = 0
        repeat {
            let end = min(start + 65_535, data.count)
            let count = UInt16(end - start)
            bytes += [end == data.count ? 1 : 0, UInt8(count & 0xff), UInt8(count >> 8)]
            bytes += [UInt8(~count & 0xff), UInt8(~count >> 8)]
            bytes += data[start..<end]
            start = end
        } while start < data.count
        var (a, b): (UInt32, UInt32) = (1, 0)
        for byte in data {
            a = (a + UInt32(byte)) % 65_521
            b = (b + a) % 65_521
        }
        return bytes + self.big(b << 16 | a)
    }

    private static func crc(_ data: [UInt8]) -> UInt32 {
        ~data.reduce(UInt32.max) { crc, byte in
            (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in
                value & 1 == 1 ? value >> 1 ^ 0xedb8_8320 : value >> 1
            }
        }
    }

    private static func big(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> UInt32($0)) }
    }
}

/// CRC-32C (Castagnoli), eight bytes at a time ("slicing by 8"): no instruction that a machine may lack.
enum CRC32C {
    /// Continues `crc`, the checksum of what came before (0 for nothing), over `bytes`.
    static func update(_ crc: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        Self.tables.withUnsafeBufferPointer { table in
            var sum = ~crc
            var at = 0
            while at + 8 <= bytes.count {
                let word =
                    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                    ^ UInt64(sum)
                sum = Self.eight(word, table)
                at += 8
            }
            while at < bytes.count {
                sum = (sum >> 8) ^ table[Int(UInt8(truncatingIfNeeded: sum) ^ bytes[at])]
                at += 1
            }
            return ~sum
        }
    }

    @inline(__always)
    private static func eight(_ word: UInt64, _ table: UnsafeBufferPointer<UInt32>) -> UInt32 {
        let low = table[1792 + Int(word & 255)] ^ table[1536 + Int(word >> 8 & 255)]
        let second = table[1280 + Int(word >> 16 & 255)] ^ table[1024 + Int(word >> 24 & 255)]
        let third = table[768 + Int(word >> 32 & 255)] ^ table[512 + Int(word >> 40 & 255)]
        let high = table[256 + Int(word >> 48 & 255)] ^ table[Int(word >> 56)]
        return low ^ second ^ third ^ high
    }

    /// Table k holds the checksums of one byte followed by k zero bytes.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var sum = UInt32(byte)
            for _ in 0..<8 { sum = sum & 1 == 1 ? (sum >> 1) ^ 0x82f6_3b78 : sum >> 1 }
            tables[byte] = sum
        }
        for slot in 256..<tables.count {
            let before = tables[slot - 256]
            tables[slot] = (before >> 8) ^ tables[Int(before & 255)]
        }
        return tables
    }()
}

/// The checksum of an OGG page (RFC 3533 §6): a CRC of 32 bits over the polynomial 0x04c11db7, most significant bit first,
/// starting at 0, of the whole page with its own four bytes as zeros.
enum OggChecksum {
    private static let place = 22..<26
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte) << 24) { sum, _ in
            sum & 0x8000_0000 == 0 ? sum << 1 : sum << 1 ^ 0x04c1_1db7
        }
    }

    /// - Parameter page: a whole page, of 27 bytes or more.
    static func fits(_ page: UnsafeRawBufferPointer) -> Bool {
        self.table.withUnsafeBufferPointer { table in
            var sum: UInt32 = 0
            for index in page.indices {
                let byte = self.place ~= index ? 0 : page[index]
                sum = sum << 8 ^ table[Int(sum >> 24) ^ Int(byte)]
            }
            return sum == MediaBytes.little32(page, self.place.lowerBound)
        }
    }
}

/// The bytes of a table while its sections are added.
struct TokenTableImage {
    private var bytes = [UInt8](repeating: 0, count: TokenTableFormat.headBytes)

    init(_ encoding: TokenEncoding, tokens: Int) {
        self.set(TokenTableFormat.Head.magic, TokenTableFormat.magic)
        self.set(TokenTableFormat.Head.version, TokenTableFormat.version)
        self.set(TokenTableFormat.Head.encoding, UInt64(encoding.rawValue))
        self.set(TokenTableFormat.Head.tokens, UInt64(tokens))
    }

    mutating func add<Number: FixedWidthInteger & BitwiseCopyable>(
        _ section: TokenTableFormat.Section, _ numbers: some Collection<Number>
    ) {
        // As they lie in memory: all machines we run on are little endian.
        let numbers = Array(numbers)
        let at = TokenTableFormat.Head.sections + 2 * section.rawValue
        self.set(at, UInt64(self.bytes.count))
        self.set(at + 1, UInt64(numbers.count * MemoryLayout<Number>.size))
        numbers.withUnsafeBytes { self.bytes.append(contentsOf: $0) }
        // Room for lookups that read beyond the last bytes, then the next line.
        let room = 16 + (0 - self.bytes.count - 16) & (TokenTableFormat.lineBytes - 1)
        self.bytes += repeatElement(0, count: room)
    }

    mutating func finish() -> [UInt8] {
        self.set(TokenTableFormat.Head.bytes, UInt64(self.bytes.count))
        let sum = self.bytes.withUnsafeBytes { TokenTableFormat.checksum($0) }
        self.set(TokenTableFormat.Head.checksum, sum)
        return self.bytes
    }

    private mutating func set(_ word: Int, _ value: UInt64) {
        for index in 0..<8 { self.bytes[word * 8 + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
    }
}

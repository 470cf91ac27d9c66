/// Memory that holds a table: a mapped file, or bytes on the heap. Aligned to 64 bytes, and never changed.
public protocol TokenTableMemory: AnyObject, Sendable {
    var bytes: UnsafeRawBufferPointer { get }
}

/// Why some bytes are no table.
public enum TokenTableFault: Error, Sendable, Hashable {
    /// Shorter than its head, or does not begin as a table does.
    case notATable
    /// Made by another release; it has to be made anew.
    case version(UInt64)
    case unknownEncoding(UInt64)
    case length(expected: UInt64, found: Int)
    case misaligned
    case checksum
    /// A section does not lie in the table as it should. Only a wrong builder can cause it.
    case section(Int)
}

/// What an encoding's tokens are, ready to be looked up. Read only, used by any number of threads.
public final class TokenTable: Sendable {
    public let encoding: TokenEncoding
    /// Ids are smaller than this.
    public let tokens: Int
    let sections: TokenSections
    private let memory: any TokenTableMemory

    /// Reads the whole table once, for its checksum.
    public init(_ memory: any TokenTableMemory) throws(TokenTableFault) {
        let head = try TokenTableHead(memory.bytes)
        self.encoding = head.encoding
        self.tokens = head.tokens
        self.sections = try TokenSections(memory.bytes, head)
        self.memory = memory
    }

    /// Copies a table that is not aligned, such as one just built.
    public convenience init(copying bytes: [UInt8]) throws(TokenTableFault) {
        try self.init(HeapTokenTable(bytes))
    }
}

// SAFETY: written in `init` only.
private final class HeapTokenTable: TokenTableMemory, @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer

    init(_ bytes: [UInt8]) {
        let copy = UnsafeMutableRawBufferPointer.allocate(
            byteCount: bytes.count, alignment: TokenTableFormat.lineBytes)
        copy.copyBytes(from: bytes)
        self.bytes = UnsafeRawBufferPointer(copy)
    }

    deinit { self.bytes.deallocate() }
}

/// The head of a table whose bytes are as they were written.
private struct TokenTableHead {
    let encoding: TokenEncoding
    let tokens: Int

    init(_ bytes: UnsafeRawBufferPointer) throws(TokenTableFault) {
        func word(_ index: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self) }
        typealias Head = TokenTableFormat.Head
        guard bytes.count >= TokenTableFormat.headBytes, word(Head.magic) == TokenTableFormat.magic else {
            throw .notATable
        }
        guard word(Head.version) == TokenTableFormat.version else { throw .version(word(Head.version)) }
        guard let code = UInt32(exactly: word(Head.encoding)), let encoding = TokenEncoding(rawValue: code)
        else {
            throw .unknownEncoding(word(Head.encoding))
        }
        guard UInt64(bytes.count) == word(Head.bytes), bytes.count % TokenTableFormat.lineBytes == 0 else {
            throw .length(expected: word(Head.bytes), found: bytes.count)
        }
        guard UInt(bitPattern: bytes.baseAddress) % UInt(TokenTableFormat.lineBytes) == 0 else {
            throw .misaligned
        }
        guard word(Head.checksum) == TokenTableFormat.checksum(bytes) else { throw .checksum }
        guard word(Head.tokens) > 0, word(Head.tokens) <= UInt64(TokenTableFormat.tokensMax) else {
            throw .notATable
        }
        self.encoding = encoding
        self.tokens = Int(word(Head.tokens))
    }
}

extension TokenSections {
    fileprivate init(_ bytes: UnsafeRawBufferPointer, _ head: TokenTableHead) throws(TokenTableFault) {
        func section(
            _ section: TokenTableFormat.Section, where fits: (Int) -> Bool
        ) throws(TokenTableFault) -> (base: UnsafeRawPointer, bytes: Int) {
            let at = (TokenTableFormat.Head.sections + 2 * section.rawValue) * 8
            let offset = bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            let count = bytes.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self)
            guard let base = bytes.baseAddress, offset >= UInt64(TokenTableFormat.headBytes),
                offset % UInt64(TokenTableFormat.lineBytes) == 0, offset <= UInt64(bytes.count),
                count <= UInt64(bytes.count) - offset, fits(Int(count))
            else { throw .section(section.rawValue) }
            return (base + Int(offset), Int(count))
        }
        func isPowerOfTwo(_ count: Int) -> Bool { count > 0 && count & (count - 1) == 0 }
        let line = TokenTableFormat.lineBytes
        let short = try section(.short) { $0 > 0 && $0 % line == 0 }
        let medium = try section(.medium) { $0 > 0 && $0 % line == 0 }
        let longSlots = try section(.longSlots) { isPowerOfTwo($0) && $0 >= 4 }
        let trie = try section(.trie) { $0 >= 256 * 8 && $0 % (256 * 8) == 0 }
        let pairs = try section(.pairs) { isPowerOfTwo($0) && $0 >= 8 }
        self.short = short.base
        self.shortLines = UInt64(short.bytes / line)
        self.medium = medium.base
        self.mediumLines = UInt64(medium.bytes / line)
        self.longSlots = longSlots.base.assumingMemoryBound(to: UInt32.self)
        self.longMask = UInt64(longSlots.bytes / 4 - 1)
        self.longRecords = try section(.longRecords) { $0 % 8 == 0 }.base.assumingMemoryBound(to: UInt32.self)
        self.longBytes = try section(.longBytes) { _ in true }.base.assumingMemoryBound(to: UInt8.self)
        self.trie = trie.base.assumingMemoryBound(to: UInt64.self)
        self.fails = try section(.fails) { $0 == trie.bytes / 2 }.base.assumingMemoryBound(to: UInt32.self)
        self.pairs = pairs.base.assumingMemoryBound(to: UInt64.self)
        self.pairMask = UInt64(pairs.bytes / 8 - 1)
        self.pairFilter = try section(.pairFilter) { $0 == 1 << (TokenTableFormat.pairFilterBits - 3) }
            .base.assumingMemoryBound(to: UInt64.self)
        self.records = try section(.records) { $0 == head.tokens * 8 }
            .base.assumingMemoryBound(to: UInt64.self)
        self.suffixes = try section(.suffixes) { $0 == head.tokens * 4 }
            .base.assumingMemoryBound(to: UInt32.self)
        self.classBlocks = try section(.classBlocks) {
            $0 == UnicodeClasses.scalars / UnicodeClasses.blockScalars
        }.base.assumingMemoryBound(to: UInt8.self)
        self.classes = try section(.classes) { $0 > 0 && $0 % UnicodeClasses.blockScalars == 0 }
            .base.assumingMemoryBound(to: UInt8.self)
        self.asciiClasses = try section(.asciiClasses) { $0 == 256 }
            .base.assumingMemoryBound(to: UInt8.self)
        self.byteTokens = try section(.byteTokens) { $0 == 256 * 4 }
            .base.assumingMemoryBound(to: UInt32.self)
        self.bytePairs = try section(.bytePairs) { $0 == 65_536 * 4 }
            .base.assumingMemoryBound(to: UInt32.self)
    }
}

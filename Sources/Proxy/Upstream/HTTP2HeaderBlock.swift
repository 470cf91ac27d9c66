import NIOCore
import NIOHPACK

/// How long a list of fields may be in HTTP/2. NIOHTTP2 writes it as one frame, never with CONTINUATION, and ends the
/// connection, with all its streams, over one that is longer than the other side's frames: so it is not given such.
enum HTTP2HeaderBlock {
    /// The fields are too long for this connection. None of them was written.
    struct TooLong: Error {}

    /// What everybody takes, and takes until its SETTINGS say more (RFC 9113 §6.5.2).
    static let frameBytesMin = 1 << 14

    /// Whether `headers` are one frame, whatever is in the tables that they are compressed with.
    ///
    /// - Parameter frameBytesMax: SETTINGS_MAX_FRAME_SIZE of the other side.
    static func fits(_ headers: HPACKHeaders, frameBytesMax: Int) -> Bool {
        let worst = headers.reduce(Self.tableUpdateBytes) {
            $0 + ($1.name.utf8.count + $1.value.utf8.count) * Self.codeBytesMax + Self.lengthBytesMax
        }
        return worst <= frameBytesMax || Self.bytesMax(headers) <= frameBytesMax
    }

    /// Few are so long that it is worth to look more closely: as many bytes as without any table, and some more.
    private static func bytesMax(_ headers: HPACKHeaders) -> Int {
        var literal = HPACKHeaders()
        for (name, value, _) in headers { literal.add(name: name, value: value, indexing: .neverIndexed) }
        var encoder = HPACKEncoder(allocator: ByteBufferAllocator(), maxDynamicTableSize: 0)
        var block = ByteBuffer()
        guard (try? encoder.encode(headers: literal, to: &block)) != nil else { return .max }
        // A field that is in a table takes an index instead, which may be longer by as much than a short field.
        return block.readableBytes + headers.count * 4 + Self.tableUpdateBytes
    }

    /// The longest code of Huffman's is 30 bits.
    private static let codeBytesMax = 4
    /// An index, and the lengths of name and value.
    private static let lengthBytesMax = 12
    /// Two changes of the table's size may precede the fields.
    private static let tableUpdateBytes = 12
}

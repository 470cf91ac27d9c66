import NIOCore

/// Buffers of one event loop that were used and can be used again: what an exchange, or a token of a stream, reads and writes
/// then costs no allocation. A few for the whole loop, so that connections that wait keep none. Used only on its loop.
final class SpareBuffers {
    static let countMax = 8
    /// No buffer is smaller, whatever was asked for.
    static let bytesMin = 1 << 10
    /// Larger ones go back to the allocator.
    static let bytesMax = 16 << 10

    private let allocator = ByteBufferAllocator()
    /// Those that were offered last are at the end: their memory is in the processor's cache.
    private(set) var offered: [ByteBuffer] = []

    init() { self.offered.reserveCapacity(Self.countMax) }

    /// An empty buffer with room for so many bytes, and for less than twice as many: it may be kept for long.
    func take(_ bytes: Int) -> ByteBuffer {
        let wanted = max(bytes, Self.bytesMin)
        // By hand: a debug build, which CI counts, boxes the iterator of what is reversed.
        var index = self.offered.count
        while index > 0 {
            index -= 1
            if self.fits(index, wanted), self.clear(index) { return self.offered.remove(at: index) }
        }
        return self.allocator.buffer(capacity: wanted)
    }

    private func fits(_ index: Int, _ wanted: Int) -> Bool {
        let bytes = self.offered[index].storageCapacity
        return bytes >= wanted && bytes < 2 * wanted
    }

    /// false: somebody reads it still.
    private func clear(_ index: Int) -> Bool {
        self.offered[index].modifyIfUniquelyOwned { buffer in
            buffer.clear()
            return true
        } ?? false
    }

    /// Who offers a buffer, or a slice of one, writes no more into it. It is used again when nobody reads it any more.
    func offer(_ buffer: ByteBuffer) {
        guard (Self.bytesMin...Self.bytesMax).contains(buffer.storageCapacity) else { return }
        if self.offered.count == Self.countMax { self.offered.removeFirst() }
        self.offered.append(buffer)
    }
}

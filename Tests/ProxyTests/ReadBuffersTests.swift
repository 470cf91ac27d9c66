import NIOCore
import NIOEmbedded
import Testing

@testable import Proxy

@Suite struct ReadBuffersTests {
    /// The sizes of the buffers for these reads, each of which gets what its buffer has room for.
    private func sizes(of reads: [Int]) -> [Int] {
        var buffers = ReadBuffers(SpareBuffers(), on: EmbeddedEventLoop())
        return reads.map { bytes in
            let buffer = buffers.buffer(allocator: ByteBufferAllocator())
            _ = buffers.record(actualReadBytes: min(bytes, buffer.capacity))
            return buffer.capacity
        }
    }

    @Test(
        arguments: [
            ([100, 100, 100], [64, 1024, 1024]),  // the first one is kept by NIO
            ([5000, 5000, 5000, 5000, 5000], [64, 1024, 4096, 16384, 16384]),
            (
                [1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20],
                [64, 1024, 4096, 16384, 65536, 65536]
            ),
            ([64, 1024, 900, 900, 900, 900], [64, 1024, 4096, 4096, 1024, 1024]),
            ([64, 1024, 900, 2000, 900, 2000], [64, 1024, 4096, 4096, 4096, 4096]),
        ] as [([Int], [Int])])
    func aBufferFitsWhatCame(reads: [Int], expected: [Int]) { #expect(self.sizes(of: reads) == expected) }

    /// NIO's pool must ask for a new buffer for each read, or it keeps the last one.
    @Test func noBufferIsKeptWithItsChannel() {
        let buffers = ReadBuffers(SpareBuffers(), on: EmbeddedEventLoop())
        var pool = NIOPooledRecvBufferAllocator(capacity: 1, recvAllocator: buffers)
        var places: Set<UnsafeRawPointer?> = []
        var kept: [ByteBuffer] = []
        for _ in 0..<4 {
            let (buffer, _) = pool.buffer(allocator: ByteBufferAllocator()) { $0.writeInteger(UInt8(1)) }
            pool.record(actualReadBytes: 1)
            kept.append(buffer)
            places.insert(buffer.withUnsafeReadableBytes { $0.baseAddress })
        }
        #expect(places.count == 4 && kept.map(\.capacity) == [64, 1024, 1024, 1024])
    }
}

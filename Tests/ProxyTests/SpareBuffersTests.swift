import NIOCore
import Testing

@testable import Proxy

@Suite struct SpareBuffersTests {
    private func place(_ buffer: ByteBuffer) -> UnsafeRawPointer? {
        buffer.withVeryUnsafeBytes { $0.baseAddress }
    }

    /// Takes a buffer, writes, and offers it; nobody has it any more.
    private func use(_ spares: SpareBuffers, _ bytes: Int) -> UnsafeRawPointer? {
        var buffer = spares.take(bytes)
        #expect(buffer.readableBytes == 0 && buffer.writableBytes >= bytes)
        buffer.writeRepeatingByte(1, count: bytes)
        spares.offer(buffer)
        return self.place(buffer)
    }

    @Test(arguments: [1, 100, 1024, 4096, 16384]) func theSameMemoryIsUsedAgain(bytes: Int) {
        let spares = SpareBuffers()
        #expect(Set((0..<5).map { _ in self.use(spares, bytes) }).count == 1)
    }

    @Test func theNewestIsTakenFirst() {
        let spares = SpareBuffers()
        var buffers = [spares.take(2000), spares.take(2000)]
        let places = buffers.map(self.place)
        for buffer in buffers { spares.offer(buffer) }
        buffers = []
        #expect(self.place(spares.take(2000)) == places[1])
        #expect(places[0] != places[1])
    }

    /// Whoever still reads a buffer, or a slice of it, reads what was written.
    @Test func whatIsStillReadIsLeftAlone() {
        let spares = SpareBuffers()
        var reader: ByteBuffer
        do {
            var buffer = spares.take(100)
            buffer.writeString("the first bytes")
            reader = buffer.getSlice(at: 4, length: 5) ?? ByteBuffer()
            spares.offer(buffer)
        }
        var others: [ByteBuffer] = []
        for _ in 0..<20 {
            var other = spares.take(100)
            other.writeRepeatingByte(0x78, count: 100)
            spares.offer(other)
            others.append(other)
        }
        #expect(String(buffer: reader) == "first")
        #expect(Set(others.map(self.place)).count == others.count)
        reader.clear()
    }

    /// A slice's room is its storage's, all of it again.
    @Test func ofASliceTheWholeIsUsedAgain() {
        let spares = SpareBuffers()
        do {
            var buffer = spares.take(4096)
            buffer.writeRepeatingByte(1, count: 4096)
            spares.offer(buffer.readSlice(length: 10) ?? buffer)
        }
        let again = spares.take(4096)
        #expect(again.readableBytes == 0 && again.writableBytes == 4096)
    }

    @Test func noMoreThanAFewAreKept() {
        let spares = SpareBuffers()
        let buffers = (0..<100).map { _ in spares.take(1024) }
        for buffer in buffers { spares.offer(buffer) }
        #expect(spares.offered.map(self.place) == buffers.suffix(SpareBuffers.countMax).map(self.place))
    }

    /// A few bytes that wait must not hold a large buffer.
    @Test(arguments: [(16384, 1024), (16384, 4095), (1024, 1025)]) func sizesThatDoNotFitAreNotTaken(
        _ has: Int, _ wanted: Int
    ) {
        let spares = SpareBuffers()
        _ = self.use(spares, has)
        #expect(spares.take(wanted).storageCapacity < has || has < wanted)
    }

    @Test(arguments: [0, 64, (16 << 10) + 1, 1 << 20]) func theSmallAndTheLargeAreNotKept(bytes: Int) {
        let spares = SpareBuffers()
        spares.offer(ByteBufferAllocator().buffer(capacity: bytes))
        #expect(spares.offered.isEmpty)
    }
}

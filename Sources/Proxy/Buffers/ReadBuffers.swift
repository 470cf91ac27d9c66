import NIOCore

/// Buffers that live for one read of a socket, and are taken from the loop's. NIO keeps the buffer of the last read with each
/// channel, which costs the thousands of streams that wait for their next token two to four kilobytes at either end.
///
/// A channel's pool takes its first buffer for good, whatever the allocator says; so that one is small, and a connection's
/// first bytes may take a second read.
struct ReadBuffers: RecvByteBufferAllocator {
    static let firstBytes = 64
    static let bytesMin = SpareBuffers.bytesMin
    static let bytesMax = 64 << 10

    private let spares: NIOLoopBound<SpareBuffers>
    private var bytes = Self.firstBytes
    private var wasRoomy = false

    init(_ spares: SpareBuffers, on eventLoop: any EventLoop) {
        self.spares = NIOLoopBound(spares, eventLoop: eventLoop)
    }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        if self.bytes == Self.firstBytes {
            allocator.buffer(capacity: self.bytes)
        } else {
            self.spares.value.take(self.bytes)
        }
    }

    /// nil: no buffer is used twice.
    func nextBufferSize() -> Int? { nil }

    /// Always true: NIO then asks for a new one. A size that was filled is too small at once, one of which a quarter was
    /// enough twice is too large.
    mutating func record(actualReadBytes count: Int) -> Bool {
        if count >= self.bytes {
            self.bytes = min(max(4 * self.bytes, Self.bytesMin), Self.bytesMax)
            self.wasRoomy = false
        } else if count <= self.bytes / 4, self.bytes > Self.bytesMin {
            if self.wasRoomy { self.bytes /= 4 }
            self.wasRoomy.toggle()
        } else {
            self.bytes = max(self.bytes, Self.bytesMin)
            self.wasRoomy = false
        }
        return true
    }
}

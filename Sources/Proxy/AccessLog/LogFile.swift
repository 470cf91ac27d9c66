import Glibc

/// The open file of an access log, which other processes may append to as well: what is written at once is whole lines
/// that fit a pipe (`PIPE_BUF`), so that the kernel does not mix them with the lines of others.
struct LogFile {
    static let lineEnd = UInt8(ascii: "\n")
    static let bytesAtOnceMax = 4096

    let descriptor: Int32
    /// What is written next would go on with half a line of ours.
    private(set) var isTorn: Bool
    /// `write(2)`, but in tests of what happens when it takes less.
    private let writing: @Sendable (Int32, UnsafeRawBufferPointer) -> Int

    init(
        descriptor: Int32, isTorn: Bool = false,
        writing: @escaping @Sendable (Int32, UnsafeRawBufferPointer) -> Int = {
            Glibc.write($0, $1.baseAddress, $1.count)
        }
    ) {
        self.descriptor = descriptor
        self.isTorn = isTorn
        self.writing = writing
    }

    /// Writes lines, in pieces, each only when it will not block; so a reader that stalls can be given up.
    ///
    /// - Parameter bytes: whole lines, none of them longer than `bytesAtOnceMax`.
    /// - Returns: the bytes that were written; fewer than all when the file takes no more, or is given up.
    mutating func write(_ bytes: UnsafeRawBufferPointer, givesUp: () -> Bool) -> Int {
        if self.isTorn {
            let end = withUnsafeBytes(of: Self.lineEnd) { self.write(piece: $0, givesUp: givesUp) }
            guard end == 1 else { return 0 }
            self.isTorn = false
        }
        var at = 0
        while at < bytes.count {
            let end = Self.pieceEnd(bytes, from: at)
            let written = self.write(
                piece: UnsafeRawBufferPointer(rebasing: bytes[at..<end]), givesUp: givesUp)
            at += written
            self.isTorn = written > 0 ? bytes[at - 1] != Self.lineEnd : self.isTorn
            if at < end { return at }
        }
        return at
    }

    /// Behind the last line that fits.
    private static func pieceEnd(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        let limit = min(bytes.count, start + Self.bytesAtOnceMax)
        guard limit < bytes.count else { return limit }
        return bytes[start..<limit].lastIndex(of: Self.lineEnd).map { $0 + 1 } ?? limit
    }

    /// A file takes less than it is given when it is nearly full, or when a signal comes.
    private func write(piece: UnsafeRawBufferPointer, givesUp: () -> Bool) -> Int {
        var at = 0
        while at < piece.count {
            var ready = pollfd(fd: self.descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&ready, 1, 100) > 0 else {
                if givesUp() { return at }
                continue
            }
            let written = self.writing(self.descriptor, UnsafeRawBufferPointer(rebasing: piece[at...]))
            if written > 0 {
                at += written
            } else if errno != EINTR && errno != EAGAIN {
                return at
            }
        }
        return at
    }

    /// Whether both are one file under two descriptors.
    func isSame(as other: Int32) -> Bool {
        var (mine, its) = (stat(), stat())
        return fstat(self.descriptor, &mine) == 0 && fstat(other, &its) == 0
            && mine.st_dev == its.st_dev && mine.st_ino == its.st_ino
    }
}

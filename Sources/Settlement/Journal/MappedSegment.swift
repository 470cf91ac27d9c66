import Glibc
import Metering
import MoneyPath
import Synchronization

/// A segment file in memory. Writing is a copy into the page cache, which survives the process; bringing it to
/// disk is the sync thread's work.
///
/// A failing disk can raise SIGBUS on a write instead of an error: that is a crash, and recovered as one.
// SAFETY: bytes are written only under the lock of the `JournalStore` that owns the segment, each once; what a
// reader is told of under that lock was written before and is not written again.
public final class MappedSegment: JournalSegment, @unchecked Sendable {
    public let id: UInt64
    public let capacity: Int
    /// nil when no sync will be asked for any more.
    private let file: Mutex<JournalDescriptor?>
    private let base: UnsafeMutableRawPointer

    private init(id: UInt64, file: JournalDescriptor?, base: UnsafeMutableRawPointer, capacity: Int) {
        self.id = id
        self.capacity = capacity
        self.file = Mutex(file)
        self.base = base
    }

    deinit { munmap(self.base, self.capacity) }

    /// For syncs, on the journal's thread.
    var descriptor: JournalDescriptor? { self.file.withLock { $0 } }

    /// Brings it to disk; returns 0 or an `errno`.
    func synchronize(_ calls: JournalCalls) -> Int32 {
        guard let file = self.descriptor else { return EBADF }
        return calls.synchronize(file.number)
    }

    /// The segment is left and on disk. Its file is closed and its memory given back; it can still be read, and
    /// then comes from the disk.
    func rest() {
        self.file.withLock { $0 = nil }
        madvise(self.base, self.capacity, MADV_DONTNEED)
    }

    public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        precondition(offset >= 0 && offset + bytes.count <= self.capacity, "the journal makes room first")
        guard let source = bytes.baseAddress else { return }
        memcpy(self.base + offset, source, bytes.count)
    }

    public func withBytes<Result>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        precondition(range.lowerBound >= 0 && range.upperBound <= self.capacity, "a record is in its segment")
        return body(UnsafeRawBufferPointer(start: self.base + range.lowerBound, count: range.count))
    }

    // MARK: Files

    static let suffix = ".seg"

    static func fileName(_ id: UInt64) -> String {
        let digits = String(id, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits + Self.suffix
    }

    /// The id in a file's name; nil for any other file.
    static func id(fileName: String) -> UInt64? {
        guard fileName.hasSuffix(Self.suffix), fileName.utf8.count == 16 + Self.suffix.utf8.count else {
            return nil
        }
        return UInt64(fileName.dropLast(Self.suffix.count), radix: 16)
    }

    /// Makes a file of zeros with all its blocks, under its name only when it is whole. Blocks.
    static func create(
        id: UInt64, bytes: Int, in directory: String, calls: JournalCalls
    ) throws(JournalFileFailure) -> MappedSegment {
        let path = "\(directory)/\(Self.fileName(id))"
        let unfinished = "\(path).new"
        unlink(unfinished)
        do throws(JournalFileFailure) {
            let file = try JournalDescriptor.open(unfinished, O_RDWR | O_CREAT | O_EXCL)
            try Self.check(calls.allocate(file.number, bytes), .allocate, path)
            try Self.check(calls.synchronize(file.number), .synchronize, path)
            let segment = try Self.map(file, id: id, bytes: bytes, writable: true, path: path, calls: calls)
            guard rename(unfinished, path) == 0 else {
                throw JournalFileFailure(.rename, path, code: errno)
            }
            try JournalDescriptor.synchronizeDirectory(directory)
            return segment
        } catch {
            unlink(unfinished)
            unlink(path)
            throw error
        }
    }

    /// Opens what is there, to be read. Blocks.
    static func open(id: UInt64, in directory: String) throws(JournalFileFailure) -> MappedSegment {
        let path = "\(directory)/\(Self.fileName(id))"
        let file = try JournalDescriptor.open(path, O_RDONLY)
        var status = stat()
        guard fstat(file.number, &status) == 0 else { throw JournalFileFailure(.read, path, code: errno) }
        let bytes = Int(status.st_size)
        guard bytes >= JournalFormat.segmentBytesMin, bytes % 8 == 0 else {
            throw JournalFileFailure(.read, path, code: EINVAL)
        }
        return try Self.map(file, id: id, bytes: bytes, writable: false, path: path, calls: JournalCalls())
    }

    private static func map(
        _ file: JournalDescriptor, id: UInt64, bytes: Int, writable: Bool, path: String, calls: JournalCalls
    ) throws(JournalFileFailure) -> MappedSegment {
        try Self.check(calls.map(file.number), .map, path)
        let protection = writable ? PROT_READ | PROT_WRITE : PROT_READ
        // A new segment's pages are fetched here, not by the event loop that comes to write there.
        let flags = writable ? MAP_SHARED | MAP_POPULATE : MAP_SHARED
        let base = mmap(nil, bytes, protection, flags, file.number, 0)
        guard let base, base != MAP_FAILED else { throw JournalFileFailure(.map, path, code: errno) }
        // What is only read is never synced, and three days of segments would be as many open files.
        return MappedSegment(id: id, file: writable ? file : nil, base: base, capacity: bytes)
    }

    private static func check(
        _ code: Int32, _ step: JournalFileFailure.Step, _ path: String
    ) throws(JournalFileFailure) {
        guard code == 0 else { throw JournalFileFailure(step, path, code: code) }
    }
}

extension Journal<MappedSegment> {
    /// Brings everything to disk, for a journal that nobody else writes to yet. Blocks.
    ///
    /// - Throws: at the first segment that cannot be synced; the journal is of no use then.
    mutating func synchronize(in path: String, _ calls: JournalCalls) throws(JournalFileFailure) {
        while let sync = self.nextSync() {
            let code = sync.segment.synchronize(calls)
            guard code == 0 else {
                let file = "\(path)/\(MappedSegment.fileName(sync.segment.id))"
                throw JournalFileFailure(.synchronize, file, code: code)
            }
            self.synced(sync)
        }
    }
}

import Glibc
import Metering
import MoneyPath

/// `<JOURNAL_DIR>/<boot id>/`: the segments of one boot, and the lock that says whether it lives (rule J1).
///
///     lock        held by `flock` for the life of the process
///     <id>.seg    segments, by hexadecimal id
///     recovered   there when somebody copied what was to be posted; its time counts the retention
///     generation  of the ledger to which all of it was posted; missing: none
public final class JournalDirectory: Sendable {
    public let root: String
    public let boot: BootID
    public let path: String
    /// The lock goes with the descriptor.
    private let lock: JournalDescriptor

    static let lockName = "lock"
    static let recoveredName = "recovered"

    init(root: String, boot: BootID, lock: JournalDescriptor) {
        self.root = root
        self.boot = boot
        self.path = "\(root)/\(boot)"
        self.lock = lock
    }

    /// Locks the directory of a boot that ended; nil while its process lives, another recovers it, or it is gone.
    public static func adopt(root: String, boot: BootID) throws(JournalFileFailure) -> JournalDirectory? {
        let path = "\(root)/\(boot)"
        let lock: JournalDescriptor
        do { lock = try JournalDescriptor.open("\(path)/\(Self.lockName)", O_RDWR) } catch {
            guard error.code == ENOENT else { throw error }
            return nil
        }
        do { try Self.acquire(lock, path) } catch {
            guard error.code == EWOULDBLOCK else { throw error }
            return nil
        }
        var status = stat()
        // Whoever deleted the directory meanwhile held a lock on a file that has no name any more.
        guard fstat(lock.number, &status) == 0, status.st_nlink > 0 else { return nil }
        return JournalDirectory(root: root, boot: boot, lock: lock)
    }

    /// All boots that have a directory, oldest first.
    public static func boots(root: String) throws(JournalFileFailure) -> [BootID] {
        try Self.names(root).compactMap { BootID(text: $0) }.sorted()
    }

    // MARK: Segments

    /// Ids of the segment files, ascending.
    func segmentIDs() throws(JournalFileFailure) -> [UInt64] {
        try Self.names(self.path).compactMap(MappedSegment.id(fileName:)).sorted()
    }

    /// Maps all segments, to be read.
    func openSegments() throws(JournalFileFailure) -> [MappedSegment] {
        var segments: [MappedSegment] = []
        for id in try self.segmentIDs() { segments.append(try MappedSegment.open(id: id, in: self.path)) }
        return segments
    }

    func delete(segment id: UInt64) throws(JournalFileFailure) {
        let path = "\(self.path)/\(MappedSegment.fileName(id))"
        guard unlink(path) == 0 || errno == ENOENT else {
            throw JournalFileFailure(.delete, path, code: errno)
        }
    }

    // MARK: After recovery

    /// When the boot was marked as recovered, milliseconds since 1970; nil: it was not. 0: it was, at a time when nobody
    /// knew the time.
    func recoveredAtMilliseconds() -> Int64? { Self.recoveredAtMilliseconds(self.path) }

    static func recoveredAtMilliseconds(_ path: String) -> Int64? {
        var status = stat()
        guard stat("\(path)/\(Self.recoveredName)", &status) == 0 else { return nil }
        return Int64(status.st_mtim.tv_sec) * 1_000 + Int64(status.st_mtim.tv_nsec) / 1_000_000
    }

    /// Everything that was to be posted is in another journal, on disk.
    ///
    /// - Parameter now: nil: the time is not known for sure; the next one to clean up who knows it dates the mark.
    func markRecovered(atMilliseconds now: Int64?) throws(JournalFileFailure) {
        let now = now ?? 0
        let path = "\(self.path)/\(Self.recoveredName)"
        let file = try JournalDescriptor.open(path, O_RDWR | O_CREAT)
        let time = timespec(tv_sec: Int(now / 1_000), tv_nsec: Int(now % 1_000) * 1_000_000)
        guard futimens(file.number, [time, time]) == 0, fsync(file.number) == 0 else {
            throw JournalFileFailure(.synchronize, path, code: errno)
        }
        try JournalDescriptor.synchronizeDirectory(self.path)
    }

    /// Deletes everything, the lock last.
    func delete() throws(JournalFileFailure) {
        let names = try Self.names(self.path).filter { $0 != Self.lockName && $0 != Self.recoveredName }
        // The mark stays while a segment does: without it the segments would be recovered again.
        for name in names.sorted() + [Self.recoveredName, Self.lockName] {
            let path = "\(self.path)/\(name)"
            guard unlink(path) == 0 || errno == ENOENT else {
                throw JournalFileFailure(.delete, path, code: errno)
            }
        }
        guard rmdir(self.path) == 0 else { throw JournalFileFailure(.delete, self.path, code: errno) }
    }

    // MARK: Private

    static func acquire(_ lock: JournalDescriptor, _ path: String) throws(JournalFileFailure) {
        guard flock(lock.number, LOCK_EX | LOCK_NB) == 0 else {
            throw JournalFileFailure(.lock, path, code: errno)
        }
    }

    static func names(_ path: String) throws(JournalFileFailure) -> [String] {
        guard let directory = opendir(path) else { throw JournalFileFailure(.read, path, code: errno) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}

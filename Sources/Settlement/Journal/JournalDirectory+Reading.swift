import Glibc
import MoneyPath

// Directories without their lock: to look at, or to repair.
extension JournalDirectory {
    static func exists(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0
    }

    /// Whether somebody holds the lock. Held shared for the moment of the question: a scan in that moment comes again.
    static func isLocked(_ path: String) throws(JournalFileFailure) -> Bool {
        let lock: JournalDescriptor
        do { lock = try JournalDescriptor.open("\(path)/\(self.lockName)", O_RDONLY) } catch {
            // Deleted meanwhile, or the lock file was: there is nothing to hold.
            guard error.code == ENOENT else { throw error }
            return false
        }
        if flock(lock.number, LOCK_SH | LOCK_NB) == 0 { return false }
        guard errno == EWOULDBLOCK else { throw JournalFileFailure(.lock, path, code: errno) }
        return true
    }

    /// Maps all segments that can be, by ascending id, and says why others cannot.
    static func openReadable(
        _ path: String
    ) throws(JournalFileFailure) -> (segments: [MappedSegment], unreadable: [JournalFileFailure]) {
        var (segments, unreadable): ([MappedSegment], [JournalFileFailure]) = ([], [])
        for id in try self.names(path).compactMap(MappedSegment.id(fileName:)).sorted() {
            do throws(JournalFileFailure) {
                let segment = try MappedSegment.open(id: id, in: path)
                // Only mapped: years of segments must not be as many open files.
                segment.rest()
                segments.append(segment)
            } catch {
                unreadable.append(error)
            }
        }
        return (segments, unreadable)
    }

    /// A directory with a lock file that nobody holds.
    static func createUnlocked(_ path: String) throws(JournalFileFailure) {
        guard mkdir(path, 0o700) == 0 else { throw JournalFileFailure(.directory, path, code: errno) }
        _ = try JournalDescriptor.open("\(path)/\(self.lockName)", O_RDWR | O_CREAT)
    }

    /// Removes a directory of files; one that is not there is removed.
    static func deleteFiles(_ path: String) throws(JournalFileFailure) {
        guard self.exists(path) else { return }
        for name in try self.names(path) {
            guard unlink("\(path)/\(name)") == 0 || errno == ENOENT else {
                throw JournalFileFailure(.delete, "\(path)/\(name)", code: errno)
            }
        }
        guard rmdir(path) == 0 else { throw JournalFileFailure(.delete, path, code: errno) }
    }
}

import Glibc
import Metering

// How a boot's directory comes to be, and what a crash in the middle of that leaves.
extension JournalDirectory {
    /// Of a directory that has no lock yet.
    static let unfinishedSuffix = ".new"
    /// Another process that cleans up may remove an unfinished directory under our hands, but not every time.
    private static let attemptsMax = 16

    /// Makes the directory of this boot and locks it. Under its name it is never seen without the lock, so nobody
    /// takes it for dead.
    public static func create(
        root: String, boot: BootID, calls: JournalCalls = JournalCalls()
    ) throws(JournalFileFailure) -> JournalDirectory {
        try Self.makeDirectories(root)
        if let kind = calls.fileSystem(root), JournalFileSystem.isNetwork(kind) {
            throw JournalFileFailure(.networkFileSystem, root, code: EOPNOTSUPP)
        }
        let unfinished = "\(root)/\(boot)\(Self.unfinishedSuffix)"
        let lock = try Self.makeLocked(unfinished)
        try JournalDescriptor.synchronizeDirectory(unfinished)
        guard rename(unfinished, "\(root)/\(boot)") == 0 else {
            throw JournalFileFailure(.rename, unfinished, code: errno)
        }
        try JournalDescriptor.synchronizeDirectory(root)
        return JournalDirectory(root: root, boot: boot, lock: lock)
    }

    private static func makeLocked(_ path: String) throws(JournalFileFailure) -> JournalDescriptor {
        var failure = JournalFileFailure(.lock, path, code: EWOULDBLOCK)
        for _ in 0..<Self.attemptsMax {
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
                throw JournalFileFailure(.directory, path, code: errno)
            }
            do throws(JournalFileFailure) {
                let lock = try JournalDescriptor.open("\(path)/\(Self.lockName)", O_RDWR | O_CREAT)
                try Self.acquire(lock, path)
                if Self.hasName(lock) {
                    Self.sign(lock)
                    return lock
                }
            } catch {
                guard error.code == ENOENT || error.code == EWOULDBLOCK else { throw error }
                failure = error
                usleep(1_000)
            }
        }
        throw failure
    }

    /// Whose directory it is, for people. Nothing depends on it.
    private static func sign(_ lock: JournalDescriptor) {
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) } + Array(" \(getpid())\n".utf8)
        guard ftruncate(lock.number, 0) == 0 else { return }
        _ = pwrite(lock.number, bytes, bytes.count, 0)
    }

    /// Whoever deletes a directory holds its lock, on a file that has no name afterwards.
    static func hasName(_ lock: JournalDescriptor) -> Bool {
        var status = stat()
        return fstat(lock.number, &status) == 0 && status.st_nlink > 0
    }

    private static func makeDirectories(_ path: String) throws(JournalFileFailure) {
        if mkdir(path, 0o700) != 0 {
            if errno == EEXIST { return }
            guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
                throw JournalFileFailure(.directory, path, code: errno)
            }
            try Self.makeDirectories(String(path[..<slash]))
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
                throw JournalFileFailure(.directory, path, code: errno)
            }
        }
        // A parent that may be written to and not be read cannot be synced; the name is there, in any case.
        do { try JournalDescriptor.synchronizeDirectory("\(path)/..") } catch {
            guard error.code == EACCES else { throw error }
        }
    }

    // MARK: What a crash leaves

    /// Removes an unfinished directory, unless it is being made just now.
    static func deleteUnfinished(_ path: String) throws(JournalFileFailure) {
        let lock: JournalDescriptor
        do { lock = try JournalDescriptor.open("\(path)/\(Self.lockName)", O_RDWR) } catch {
            guard error.code == ENOENT else { throw error }
            // Not yet locked, or gone: its maker begins again. One that just got its lock is not empty any more.
            return _ = rmdir(path)
        }
        do { try Self.acquire(lock, path) } catch {
            guard error.code == EWOULDBLOCK else { throw error }
            return
        }
        // Renamed meanwhile, or deleted by another.
        guard Self.hasName(lock), access(path, F_OK) == 0 else { return }
        try Self.deleteFiles(of: path)
    }

    /// A boot's directory without a lock: nobody can own it. What is left of a deletion goes; segments stay.
    ///
    /// - Throws: that it cannot be locked, when there are segments.
    static func deleteWithoutLock(_ path: String) throws(JournalFileFailure) {
        // Gone, or never without a lock.
        guard access(path, F_OK) == 0, access("\(path)/\(Self.lockName)", F_OK) != 0, errno == ENOENT else {
            return
        }
        if try Self.names(path).contains(where: { MappedSegment.id(fileName: $0) != nil }) {
            throw JournalFileFailure(.lock, path, code: ENOENT)
        }
        try Self.deleteFiles(of: path)
    }

    /// The lock goes last.
    private static func deleteFiles(of path: String) throws(JournalFileFailure) {
        for name in try Self.names(path).filter({ $0 != Self.lockName }) + [Self.lockName] {
            guard unlink("\(path)/\(name)") == 0 || errno == ENOENT else {
                throw JournalFileFailure(.delete, "\(path)/\(name)", code: errno)
            }
        }
        guard rmdir(path) == 0 || errno == ENOENT else {
            throw JournalFileFailure(.delete, path, code: errno)
        }
    }
}

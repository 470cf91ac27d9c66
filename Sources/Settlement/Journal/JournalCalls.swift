import Glibc

/// The system calls of the journal that can fail on a healthy machine, replaceable so that tests can fill or
/// break the disk. Each returns 0 or an `errno`.
public struct JournalCalls: Sendable {
    /// Gives a file its blocks: (descriptor, bytes).
    public var allocate: @Sendable (Int32, Int) -> Int32
    /// Brings a file's bytes to disk.
    public var synchronize: @Sendable (Int32) -> Int32
    /// Whether the file can be mapped: asked before `mmap`.
    public var map: @Sendable (Int32) -> Int32
    /// Kind of the file system at a path, such as `ext4`; nil: not known.
    public var fileSystem: @Sendable (String) -> String?

    public init(
        allocate: @escaping @Sendable (Int32, Int) -> Int32 = Self.allocateBlocks,
        synchronize: @escaping @Sendable (Int32) -> Int32 = Self.synchronizeData,
        map: @escaping @Sendable (Int32) -> Int32 = { _ in 0 },
        fileSystem: @escaping @Sendable (String) -> String? = JournalFileSystem.kind(at:)
    ) {
        self.allocate = allocate
        self.synchronize = synchronize
        self.map = map
        self.fileSystem = fileSystem
    }

    @Sendable public static func allocateBlocks(_ descriptor: Int32, _ bytes: Int) -> Int32 {
        var failure = posix_fallocate(descriptor, 0, off_t(bytes))
        while failure == EINTR { failure = posix_fallocate(descriptor, 0, off_t(bytes)) }
        return failure
    }

    /// Never repeated after an error, EINTR (which is none) excepted (rule J4).
    @Sendable public static func synchronizeData(_ descriptor: Int32) -> Int32 {
        while fdatasync(descriptor) != 0 {
            let failure = errno
            guard failure == EINTR else { return failure }
        }
        return 0
    }
}

/// Why a call on the journal's files failed.
public struct JournalFileFailure: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Step: String, Sendable, Hashable {
        case directory = "make the directory"
        case open = "open"
        case lock = "lock"
        case allocate = "allocate"
        case map = "map"
        case rename = "rename"
        case synchronize = "synchronize"
        case read = "read"
        case delete = "delete"
        case networkFileSystem = "trust the locks of a network file system at"
    }

    public var step: Step
    public var path: String
    /// `errno`; `EWOULDBLOCK` at `.lock`: another process has it.
    public var code: Int32

    public init(_ step: Step, _ path: String, code: Int32) {
        self.step = step
        self.path = path
        self.code = code
    }

    public var description: String {
        let what = "journal: cannot \(self.step.rawValue) \(self.path): "
        if self.step == .networkFileSystem { return what + "JOURNAL_DIR must be on a disk of this host" }
        return what + String(cString: strerror(self.code))
    }
}

/// An open file: closes itself.
final class JournalDescriptor: Sendable {
    let number: Int32

    private init(number: Int32) { self.number = number }
    deinit { close(self.number) }

    static func open(
        _ path: String, _ flags: Int32, _ permissions: mode_t = 0o600
    ) throws(JournalFileFailure) -> JournalDescriptor {
        let number = Glibc.open(path, flags | O_CLOEXEC, permissions)
        guard number >= 0 else { throw JournalFileFailure(.open, path, code: errno) }
        return JournalDescriptor(number: number)
    }

    /// Makes the names in a directory durable.
    static func synchronizeDirectory(_ path: String) throws(JournalFileFailure) {
        let directory = try Self.open(path, O_RDONLY | O_DIRECTORY)
        guard fsync(directory.number) == 0 else {
            throw JournalFileFailure(.synchronize, path, code: errno)
        }
    }
}

import Glibc

/// Files as wholes. Blocks.
public enum TokenFile {
    public static func read(_ path: String) throws(TokenFileFailure) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw TokenFileFailure(.open(errno), path) }
        defer { close(file) }
        var bytes: [UInt8] = []
        var page = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = Glibc.read(file, &page, page.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw TokenFileFailure(.read(errno), path) }
            guard count > 0 else { return bytes }
            bytes += page[..<count]
        }
    }

    /// Replaces a file. Readers have the old or the new one, and so has the disk after a power cut.
    static func write(_ bytes: [UInt8], _ path: String) throws(TokenFileFailure) {
        // Two builders at once each write their own.
        let unfinished = "\(path).\(getpid()).new"
        do throws(TokenFileFailure) {
            try self.writeNew(bytes, unfinished)
            guard rename(unfinished, path) == 0 else { throw TokenFileFailure(.rename(errno), path) }
        } catch {
            unlink(unfinished)
            throw error
        }
        try self.synchronizeDirectory(of: path)
    }

    private static func writeNew(_ bytes: [UInt8], _ path: String) throws(TokenFileFailure) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw TokenFileFailure(.open(errno), path) }
        defer { close(file) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { bytes in
                Glibc.write(file, bytes.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw TokenFileFailure(.write(errno), path) }
            written += count
        }
        guard fsync(file) == 0 else { throw TokenFileFailure(.synchronize(errno), path) }
    }

    private static func synchronizeDirectory(of path: String) throws(TokenFileFailure) {
        let directory =
            path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw TokenFileFailure(.open(errno), directory) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw TokenFileFailure(.synchronize(errno), directory) }
    }
}

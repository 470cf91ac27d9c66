import Glibc
import Metering

/// `<JOURNAL_DIR>/ledger`: how far the ledger had come when a process of this host last heard of it. It stands beside the
/// journals because both are lost together: without them nothing could be posted again.
///
/// All processes of a host write the same file, each what it heard last; a moment more or less does not matter.
public struct LedgerPositionFile: Sendable {
    private static let name = "ledger"
    private static let bytesMax = 1024
    private let root: String

    public init(root: String) { self.root = root }

    /// nil: there is none, or it cannot be read; then nothing is concluded.
    public func read() async -> LedgerPosition? {
        await JournalThread.run { Self.read("\(self.root)/\(Self.name)") }
    }

    /// Does nothing while there are no journals.
    public func write(_ position: LedgerPosition) async throws(JournalFileFailure) {
        let failure = await JournalThread.run { () -> JournalFileFailure? in
            do throws(JournalFileFailure) {
                try Self.write(position, root: self.root)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    private static func read(_ path: String) -> LedgerPosition? {
        guard let file = try? JournalDescriptor.open(path, O_RDONLY) else { return nil }
        var bytes = [UInt8](repeating: 0, count: Self.bytesMax)
        let count = Glibc.read(file.number, &bytes, bytes.count)
        guard count > 1, bytes[count - 1] == UInt8(ascii: "\n") else { return nil }
        let words = String(decoding: bytes[..<(count - 1)], as: UTF8.self).split(separator: " ")
        let numbers = words.prefix(3).compactMap { Int64($0) }
        guard words.count == 4, numbers.count == 3 else { return nil }
        return LedgerPosition(
            origin: String(words[3]), timeline: numbers[0], generation: numbers[1], flushed: numbers[2])
    }

    private static func write(_ position: LedgerPosition, root: String) throws(JournalFileFailure) {
        let path = "\(root)/\(Self.name)"
        // One name for each process: two of them must not write into one file.
        let unfinished = "\(path).\(getpid())"
        let file: JournalDescriptor
        do { file = try JournalDescriptor.open(unfinished, O_WRONLY | O_CREAT | O_TRUNC) } catch {
            guard error.code == ENOENT else { throw error }
            return
        }
        let line = "\(position.timeline) \(position.generation) \(position.flushed) \(position.origin)\n"
        let bytes = Array(line.utf8)
        guard Glibc.write(file.number, bytes, bytes.count) == bytes.count, fsync(file.number) == 0 else {
            throw JournalFileFailure(.synchronize, unfinished, code: errno)
        }
        guard rename(unfinished, path) == 0 else { throw JournalFileFailure(.rename, path, code: errno) }
        try JournalDescriptor.synchronizeDirectory(root)
    }
}

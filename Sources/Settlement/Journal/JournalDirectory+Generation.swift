import Glibc
import Metering

// To which generation of the ledger all outcomes of a boot were posted (rules P7, J6). A fact of the boot, not of the
// host: each process posts its own journal again, and whoever has the journal of one that ended posts that.
extension JournalDirectory {
    static let generationName = "generation"

    /// 0: none, or not known; posting again is harmless. Needs no lock.
    static func generation(_ path: String) -> Int64 {
        guard let file = try? JournalDescriptor.open("\(path)/\(Self.generationName)", O_RDONLY) else {
            return 0
        }
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = read(file.number, &bytes, bytes.count)
        guard count > 1, bytes[count - 1] == UInt8(ascii: "\n") else { return 0 }
        return Int64(String(decoding: bytes[..<(count - 1)], as: UTF8.self)) ?? 0
    }

    /// Only after all that this journal has is posted to the generation. When it throws, the old one stands.
    func write(generation: Int64) throws(JournalFileFailure) {
        let path = "\(self.path)/\(Self.generationName)"
        let unfinished = path + Self.unfinishedSuffix
        let file = try JournalDescriptor.open(unfinished, O_WRONLY | O_CREAT | O_TRUNC)
        let bytes = Array("\(generation)\n".utf8)
        guard Glibc.write(file.number, bytes, bytes.count) == bytes.count, fsync(file.number) == 0 else {
            throw JournalFileFailure(.synchronize, unfinished, code: errno)
        }
        guard rename(unfinished, path) == 0 else { throw JournalFileFailure(.rename, path, code: errno) }
        try JournalDescriptor.synchronizeDirectory(self.path)
    }
}

import Glibc
import Metering

/// A table's file in memory: read in by what is looked up, and shared by all processes that use it.
///
/// The file is replaced, never changed: a table in use stays the old one.
// SAFETY: mapped to be read only.
public final class MappedTokenTable: TokenTableMemory, @unchecked Sendable {
    public let bytes: UnsafeRawBufferPointer

    private init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    deinit { munmap(UnsafeMutableRawPointer(mutating: self.bytes.baseAddress), self.bytes.count) }

    /// Opens the table of an encoding, and reads it once for its checksum. Blocks, for some 10 ms.
    public static func open(
        _ encoding: TokenEncoding, at path: String
    ) throws(TokenFileFailure) -> TokenTable {
        let memory = try self.map(path)
        let table: TokenTable
        do throws(TokenTableFault) {
            table = try TokenTable(memory)
        } catch {
            throw TokenFileFailure(.table(error), path)
        }
        guard table.encoding == encoding else { throw TokenFileFailure(.wrongEncoding(table.encoding), path) }
        return table
    }

    private static func map(_ path: String) throws(TokenFileFailure) -> MappedTokenTable {
        let file = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw TokenFileFailure(.open(errno), path) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw TokenFileFailure(.read(errno), path) }
        let count = Int(status.st_size)
        guard count > 0 else { throw TokenFileFailure(.table(.notATable), path) }
        let base = mmap(nil, count, PROT_READ, MAP_SHARED, file, 0)
        guard let base, base != MAP_FAILED else { throw TokenFileFailure(.map(errno), path) }
        return MappedTokenTable(UnsafeRawBufferPointer(start: base, count: count))
    }
}

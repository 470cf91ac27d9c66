import Glibc
import Metering

/// The directory that holds vocabularies and the tables made of them (`TOKENIZER_DIR`).
public struct TokenDirectory: Sendable {
    public let path: String

    public init(_ path: String) { self.path = path }

    public func vocabulary(_ encoding: TokenEncoding) -> String {
        "\(self.path)/\(encoding.vocabularyFileName)"
    }
    public func table(_ encoding: TokenEncoding) -> String { "\(self.path)/\(encoding.tableFileName)" }

    /// The table of an encoding; made anew from the vocabulary when there is none that this release can use, which takes
    /// about a second. Where that cannot be written, it is kept in memory. Blocks.
    ///
    /// - Throws: why there is neither a table nor a vocabulary as it was published.
    public func open(_ encoding: TokenEncoding) throws(TokenFileFailure) -> TokenTable {
        do throws(TokenFileFailure) {
            return try MappedTokenTable.open(encoding, at: self.table(encoding))
        } catch {
            guard error.isCuredByBuilding else { throw error }
        }
        let bytes = try VocabularyFile.makeTable(encoding, vocabulary: self.vocabulary(encoding))
        do throws(TokenFileFailure) {
            try TokenFile.write(bytes, self.table(encoding))
            return try MappedTokenTable.open(encoding, at: self.table(encoding))
        } catch {
            return try Self.inMemory(bytes, self.table(encoding))
        }
    }

    private static func inMemory(_ bytes: [UInt8], _ path: String) throws(TokenFileFailure) -> TokenTable {
        do throws(TokenTableFault) {
            return try TokenTable(copying: bytes)
        } catch {
            throw TokenFileFailure(.table(error), path)
        }
    }
}

extension TokenFileFailure {
    /// There is no table, or it is damaged, of another release, or of another encoding.
    fileprivate var isCuredByBuilding: Bool {
        switch self.kind {
        case .open(ENOENT), .table, .wrongEncoding: true
        default: false
        }
    }
}

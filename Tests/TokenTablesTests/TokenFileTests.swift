import Foundation
import Metering
import Testing

@testable import TokenTables

@Suite struct TokenFileTests {
    private func withDirectory(_ body: (String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "token-tables-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private func failure(_ body: () throws(TokenFileFailure) -> Void) -> TokenFileFailure.Kind? {
        do throws(TokenFileFailure) {
            try body()
            return nil
        } catch {
            return error.kind
        }
    }

    /// The bytes themselves as tokens.
    private func bytesOnly(_ encoding: TokenEncoding) throws -> [UInt8] {
        let lines = (0..<256).map { "\(Data([UInt8($0)]).base64EncodedString()) \($0)\n" }
        return try TokenTableBuilder.build(encoding, vocabulary: Array(lines.joined().utf8))
    }

    @Test func aMappedTableIsUsedByManyThreads() async throws {
        let path = NSTemporaryDirectory() + "token-tables-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try TokenFile.write(self.bytesOnly(.cl100kBase), path)
        let table = try MappedTokenTable.open(.cl100kBase, at: path)
        let counts = await withTaskGroup(of: Int.self, returning: [Int].self) { group in
            for _ in 0..<4 { group.addTask { Tokenizer(table).count("hello world") } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(counts == [11, 11, 11, 11])
    }

    @Test func aFileThatIsNoTableIsRefused() throws {
        try self.withDirectory { directory in
            let path = "\(directory)/table"
            func open() -> TokenFileFailure.Kind? {
                self.failure { () throws(TokenFileFailure) in
                    _ = try MappedTokenTable.open(.o200kBase, at: path)
                }
            }
            #expect(open() == .open(ENOENT))
            try TokenFile.write([], path)
            #expect(open() == .table(.notATable))
            var bytes = try self.bytesOnly(.o200kBase)
            try TokenFile.write(bytes, path)
            #expect(open() == nil)
            bytes[bytes.count / 2] ^= 1
            try TokenFile.write(bytes, path)
            #expect(open() == .table(.checksum))
            try TokenFile.write(self.bytesOnly(.cl100kBase), path)
            #expect(open() == .wrongEncoding(.cl100kBase))
        }
    }

    /// A vocabulary with one wrong byte would bill wrongly for ever.
    @Test func onlyThePublishedVocabularyIsBuilt() throws {
        try self.withDirectory { directory in
            let vocabulary = "\(directory)/o200k_base.tiktoken"
            let table = "\(directory)/o200k_base.tokens"
            try TokenFile.write(Array("AA== 0\n".utf8), vocabulary)
            let kind = self.failure { () throws(TokenFileFailure) in
                try VocabularyFile.buildTable(.o200kBase, vocabulary: vocabulary, table: table)
            }
            #expect(kind == .wrongVocabulary(.o200kBase))
            #expect(!FileManager.default.fileExists(atPath: table))
        }
    }

    @Test func aFileIsReplacedAndNothingElseIsLeft() throws {
        try self.withDirectory { directory in
            let path = "\(directory)/file"
            try TokenFile.write([1], path)
            try TokenFile.write([2, 3], path)
            #expect(try TokenFile.read(path) == [2, 3])
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["file"])
            let kind = self.failure { () throws(TokenFileFailure) in
                try TokenFile.write([1], "\(directory)/no/file")
            }
            #expect(kind == .open(ENOENT))
        }
    }

    @Test func aTableInUseStaysWhatItWas() throws {
        try self.withDirectory { directory in
            let path = "\(directory)/table"
            try TokenFile.write(self.bytesOnly(.o200kBase), path)
            let table = try MappedTokenTable.open(.o200kBase, at: path)
            try TokenFile.write([0], path)
            #expect(Tokenizer(table).count("abc") == 3)
        }
    }
}

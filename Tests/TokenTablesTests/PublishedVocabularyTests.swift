import Foundation
import Metering
import Testing

@testable import TokenTables

/// With the vocabularies that OpenAI published: scripts/fetch_vocabulary.py var/tokenizer gets them.
@Suite struct PublishedVocabularyTests {
    @Test(arguments: TokenEncoding.allCases) func idsAreThoseOfTiktoken(encoding: TokenEncoding) throws {
        let tokenizer = Tokenizer(try RealTables.table(encoding))
        for vector in TokenVector.all {
            #expect(tokenizer.encode(vector.text) == vector.ids[encoding], "\(vector.text.debugDescription)")
            #expect(tokenizer.count(vector.text) == vector.ids[encoding]?.count)
        }
    }

    /// A special token's text costs what any text costs, and its id is never produced.
    @Test(arguments: TokenEncoding.allCases) func textOfSpecialTokensIsOrdinary(encoding: TokenEncoding)
        throws
    {
        let table = try RealTables.table(encoding)
        let tokenizer = Tokenizer(table)
        for text in ["<|endoftext|>", "<|endofprompt|>", "<|im_start|>", "<|return|>"] {
            let ids = tokenizer.encode(text)
            #expect(ids.count > 1)
            #expect(ids.allSatisfy { $0 < UInt32(table.tokens) })
        }
    }

    @Test(arguments: TokenEncoding.allCases)
    func runsOfEveryCharacterCountAsTheyEncode(encoding: TokenEncoding) throws {
        let tokenizer = Tokenizer(try RealTables.table(encoding))
        for scalar in (1..<128).compactMap(Unicode.Scalar.init) + ["中", "é", "\u{301}", "\u{3000}", "😀"] {
            let text = String(repeating: String(scalar), count: 1_500)
            #expect(tokenizer.count(text) == tokenizer.encode(text).count, "\(scalar.debugDescription)")
        }
    }

    /// The pairs of request and `prompt_tokens` that the API's specification prints (facts C5).
    @Test func theEstimateOfAPlainChatIsWhatTheSpecificationPrints() throws {
        let tables = EncodingTables([try RealTables.table(.o200kBase)])
        func estimate(_ body: String) throws -> (Int64, Int64) {
            try Array(body.utf8).withUnsafeBytes { bytes in
                let request = try RequestInspector.inspect(bytes, as: .chat).get()
                let counted = CountedInput(request, of: bytes, tables)
                let bounds = request.bounds(
                    bodyBytes: bytes.count, counted: counted, permittedTiers: [.default])
                return (request.inputEstimate(counted), bounds.inputTokensMax)
            }
        }
        let systemAndUser = try estimate(
            #"{"model":"gpt-5.4","messages":[{"role":"system","content":"You are a helpful assistant."},"#
                + #"{"role":"user","content":"Hello!"}]}"#)
        #expect(systemAndUser.0 == 19)
        #expect(systemAndUser.1 >= 19)
        let user = try estimate(#"{"model":"gpt-5.4","messages":[{"role":"user","content":"Hello!"}]}"#)
        #expect(user.0 == 9)
        #expect(user.1 >= 9)
    }

    // MARK: The directory

    private func withDirectory(_ body: (String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "token-directory-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    /// A process that starts after an upgrade, or after a disk error, must neither fail nor count wrongly.
    @Test func aTableThatCannotBeUsedIsMadeAnew() throws {
        let encoding = TokenEncoding.cl100kBase
        _ = try RealTables.table(encoding)
        let good = try TokenFile.read(RealTables.directory.table(encoding))
        try self.withDirectory { path in
            let directory = TokenDirectory(path)
            try FileManager.default.copyItem(
                atPath: RealTables.directory.vocabulary(encoding), toPath: directory.vocabulary(encoding))
            var older = good
            older[8] = 99
            try TokenFile.write(older, directory.table(encoding))
            #expect(Tokenizer(try directory.open(encoding)).count("hello world") == 2)
            #expect(try TokenFile.read(directory.table(encoding)) == good)
        }
    }

    @Test func withoutAVocabularyThereIsNoTable() throws {
        try self.withDirectory { path in
            let directory = TokenDirectory(path)
            do throws(TokenFileFailure) {
                _ = try directory.open(.o200kBase)
                Issue.record("a table was made of nothing")
            } catch {
                #expect(error.kind == .open(ENOENT) && error.path == directory.vocabulary(.o200kBase))
            }
        }
    }
}

import Crypto
import Metering

extension TokenEncoding {
    /// The SHA-256 of the vocabulary, as it is pinned in tiktoken 0.14 (`tiktoken_ext/openai_public.py`).
    public var vocabularySHA256: String {
        switch self {
        case .o200kBase: "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
        case .cl100kBase: "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
        }
    }

    public var vocabularyFileName: String { "\(self.name).tiktoken" }
    public var tableFileName: String { "\(self.name).tokens" }
}

/// Reads vocabularies, and writes the tables that are made of them.
public enum VocabularyFile {
    /// A vocabulary of which every byte is as it was published. Blocks.
    public static func read(
        _ encoding: TokenEncoding, at path: String
    ) throws(TokenFileFailure) -> [UInt8] {
        let bytes = try TokenFile.read(path)
        guard Hexadecimal.text(SHA256.hash(data: bytes)) == encoding.vocabularySHA256 else {
            throw TokenFileFailure(.wrongVocabulary(encoding), path)
        }
        return bytes
    }

    /// Makes the table of a vocabulary. The same vocabulary gives the same bytes. Blocks for a second or so.
    public static func makeTable(
        _ encoding: TokenEncoding, vocabulary: String
    ) throws(TokenFileFailure) -> [UInt8] {
        let text = try self.read(encoding, at: vocabulary)
        do throws(TokenVocabularyFault) {
            return try TokenTableBuilder.build(encoding, vocabulary: text)
        } catch {
            throw TokenFileFailure(.vocabulary(error), vocabulary)
        }
    }

    /// Makes and writes it: under its name only when it is whole and on disk.
    public static func buildTable(
        _ encoding: TokenEncoding, vocabulary: String, table: String
    ) throws(TokenFileFailure) {
        try TokenFile.write(self.makeTable(encoding, vocabulary: vocabulary), table)
    }
}

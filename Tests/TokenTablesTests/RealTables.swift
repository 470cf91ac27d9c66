import Foundation
import Metering

@testable import TokenTables

/// The tables of OpenAI's vocabularies, which are no part of the sources: scripts/test.sh gets them. A test that needs
/// them fails without.
enum RealTables {
    static let directory: TokenDirectory = {
        if let named = ProcessInfo.processInfo.environment["TOKENIZER_DIR"], !named.isEmpty {
            return TokenDirectory(named)
        }
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return TokenDirectory(root.path + "/var/tokenizer")
    }()

    private static let o200k = Result { try Self.directory.open(.o200kBase) }
    private static let cl100k = Result { try Self.directory.open(.cl100kBase) }

    static func table(_ encoding: TokenEncoding) throws -> TokenTable {
        switch encoding {
        case .o200kBase: try self.o200k.get()
        case .cl100kBase: try self.cl100k.get()
        }
    }
}

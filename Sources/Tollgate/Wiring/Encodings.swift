import Logging
import Metering
import TokenTables

/// The tokenizer's tables of this process.
enum Encodings {
    /// What there is; the rest is held for by its bytes, with a warning. Blocks, for seconds when tables have to be made.
    static func open(_ directory: String, _ logger: Logger) -> EncodingTables {
        let directory = TokenDirectory(directory)
        var tables: [TokenTable] = []
        for encoding in TokenEncoding.allCases {
            do throws(TokenFileFailure) {
                tables.append(try directory.open(encoding))
            } catch {
                logger.warning(
                    "holds are made of bytes: no tokenizer (scripts/fetch_vocabulary.py gets its vocabularies)",
                    metadata: ["encoding": "\(encoding.name)", "error": "\(error)"])
            }
        }
        return EncodingTables(tables)
    }
}

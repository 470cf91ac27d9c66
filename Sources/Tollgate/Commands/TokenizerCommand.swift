import ArgumentParser
import Metering
import TokenTables

struct TokenizerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenizer",
        abstract: "The tables of the tokenizer: build, check; count a text.",
        discussion: """
            Holds are made of counted tokens for models whose encoding is o200k_base or cl100k_base. Their vocabularies \
            (o200k_base.tiktoken, cl100k_base.tiktoken; scripts/fetch_vocabulary.py gets them) are checked against the \
            SHA-256 that OpenAI published, and made into tables, which `serve` and `dev` map, and build when they are \
            missing. Exit 1: a vocabulary is missing or is another, or a table is not what is made of it; 64: wrong usage.
            """,
        subcommands: [Build.self, Check.self, Count.self])

    struct Directory: ParsableArguments {
        @Option(help: "The directory of vocabularies and tables; default: TOKENIZER_DIR, or var/tokenizer.")
        var dir: String?

        var files: TokenDirectory {
            var reader = SettingsReader.environment()
            return TokenDirectory(self.dir ?? ServeConfiguration.tokenizerDirectory(&reader))
        }
    }

    struct Build: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make both tables anew.",
            discussion: "A table appears under its name only when it is whole and on disk.")
        @OptionGroup var directory: Directory

        func run() async throws {
            try await reporting {
                let files = directory.files
                for encoding in TokenEncoding.allCases {
                    try VocabularyFile.buildTable(
                        encoding, vocabulary: files.vocabulary(encoding), table: files.table(encoding))
                    let table = try MappedTokenTable.open(encoding, at: files.table(encoding))
                    print("\(files.table(encoding)): \(table.tokens) tokens")
                }
            }
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Whether vocabularies are as published, and each table is what is made of its vocabulary.")
        @OptionGroup var directory: Directory

        func run() async throws {
            try await reporting {
                let files = directory.files
                for encoding in TokenEncoding.allCases {
                    let made = try VocabularyFile.makeTable(encoding, vocabulary: files.vocabulary(encoding))
                    _ = try MappedTokenTable.open(encoding, at: files.table(encoding))
                    guard try TokenFile.read(files.table(encoding)) == made else {
                        complain(
                            "\(files.table(encoding)) is not what \(files.vocabulary(encoding)) makes; build it anew"
                        )
                        throw Exit.checkFailed
                    }
                    print("\(encoding.name): ok")
                }
            }
        }
    }

    struct Count: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the number of tokens of a text.")
        @OptionGroup var directory: Directory
        @Option(help: "The model whose encoding counts; or --encoding.")
        var model: String?
        @Option(help: "o200k_base or cl100k_base.")
        var encoding: String?
        @Argument(help: "A file; default: standard input.")
        var file = "/dev/stdin"

        func validate() throws {
            guard (model == nil) != (encoding == nil) else {
                throw ValidationError("give either --model or --encoding")
            }
            guard self.named != nil else {
                throw ValidationError(
                    model.map { "the encoding of the model '\($0)' is not documented, or not built in" }
                        ?? "--encoding must be o200k_base or cl100k_base")
            }
        }

        private var named: TokenEncoding? {
            encoding.flatMap { TokenEncoding(name: $0) } ?? model.flatMap { TokenEncoding(model: $0) }
        }

        func run() async throws {
            try await reporting {
                guard let named = self.named else { throw Exit.usage }
                let table = try directory.files.open(named)
                print(Tokenizer(table).count(try TokenFile.read(file)))
            }
        }
    }
}

/// A vocabulary of OpenAI's with the rules by which its text is cut.
///
/// Text is always ordinary text: `<|endoftext|>` in it is thirteen characters, never the special token, and the
/// ids of special tokens are never produced.
public enum TokenEncoding: UInt32, Sendable, CaseIterable {
    case o200kBase = 1
    case cl100kBase = 2

    /// As OpenAI names it.
    public var name: String {
        switch self {
        case .o200kBase: "o200k_base"
        case .cl100kBase: "cl100k_base"
        }
    }

    public init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }

    /// The encoding that OpenAI documents for a model (tiktoken 0.14, `tiktoken/model.py`); nil when it documents none,
    /// or one that is not built in. For a model unknown here bounds are made of bytes.
    ///
    /// gpt-oss has the vocabulary and the rules of o200k_base; its harmony encoding differs in special tokens only.
    public init?(model: String) {
        if let exact = Self.models[model] {
            self = exact
        } else if let prefix = Self.prefixes.first(where: { model.hasPrefix($0.prefix) }) {
            self = prefix.encoding
        } else {
            return nil
        }
    }

    private static let models: [String: TokenEncoding] = [
        "o1": .o200kBase, "o3": .o200kBase, "o4-mini": .o200kBase,
        "gpt-4.1": .o200kBase, "gpt-4o": .o200kBase,
        "gpt-4": .cl100kBase, "gpt-3.5": .cl100kBase, "gpt-3.5-turbo": .cl100kBase,
        "gpt-35-turbo": .cl100kBase,
        "davinci-002": .cl100kBase, "babbage-002": .cl100kBase,
        "text-embedding-ada-002": .cl100kBase, "text-embedding-3-small": .cl100kBase,
        "text-embedding-3-large": .cl100kBase,
    ]

    /// The first that fits counts: a longer one stands before its own beginning.
    private static let prefixes: [(prefix: String, encoding: TokenEncoding)] = [
        ("o1-", .o200kBase), ("o3-", .o200kBase), ("o4-mini-", .o200kBase),
        ("gpt-5", .o200kBase), ("gpt-4.5-", .o200kBase), ("gpt-4.1-", .o200kBase),
        ("chatgpt-4o-", .o200kBase), ("gpt-4o-", .o200kBase), ("gpt-oss-", .o200kBase),
        ("gpt-4-", .cl100kBase), ("gpt-3.5-turbo-", .cl100kBase), ("gpt-35-turbo-", .cl100kBase),
        // Fine-tuned models; GPT-4.1's are documented with the model, not in tiktoken.
        ("ft:gpt-4o", .o200kBase), ("ft:gpt-4.1", .o200kBase), ("ft:gpt-4", .cl100kBase),
        ("ft:gpt-3.5-turbo", .cl100kBase), ("ft:davinci-002", .cl100kBase), ("ft:babbage-002", .cl100kBase),
    ]
}

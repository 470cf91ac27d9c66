import Testing

@testable import Metering

@Suite struct TokenEncodingTests {
    /// A model that is counted with the wrong vocabulary is billed wrongly, so the table is tiktoken's.
    @Test(arguments: [
        ("o1", "o200k_base"), ("o1-preview", "o200k_base"), ("o3", "o200k_base"), ("o3-mini", "o200k_base"),
        ("o4-mini", "o200k_base"), ("o4-mini-2025-04-16", "o200k_base"), ("gpt-4o", "o200k_base"),
        ("gpt-4o-2024-08-06", "o200k_base"), ("chatgpt-4o-latest", "o200k_base"), ("gpt-4.1", "o200k_base"),
        ("gpt-4.1-mini", "o200k_base"), ("gpt-4.5-preview", "o200k_base"), ("gpt-5", "o200k_base"),
        ("gpt-5.4-pro", "o200k_base"), ("gpt-oss-120b", "o200k_base"), ("ft:gpt-4o-mini:org", "o200k_base"),
        ("gpt-4", "cl100k_base"), ("gpt-4-turbo", "cl100k_base"), ("gpt-4-32k", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"), ("gpt-3.5-turbo-0125", "cl100k_base"),
        ("ft:gpt-4:org", "cl100k_base"),
        ("ft:gpt-3.5-turbo:org", "cl100k_base"), ("text-embedding-3-small", "cl100k_base"),
    ])
    func modelsHaveTheEncodingThatIsDocumented(model: String, encoding: String) {
        #expect(TokenEncoding(model: model)?.name == encoding)
    }

    /// Nothing is guessed: for these the bound is made of bytes.
    @Test(arguments: [
        "gpt-6", "o5", "o10", "o11-x", "claude", "davinci", "text-davinci-003", "", "gpt-", "GPT-4o",
    ])
    func otherModelsHaveNone(model: String) { #expect(TokenEncoding(model: model) == nil) }

    @Test func namesAreReadAsWritten() {
        for encoding in TokenEncoding.allCases { #expect(TokenEncoding(name: encoding.name) == encoding) }
        #expect(TokenEncoding(name: "p50k_base") == nil)
    }
}

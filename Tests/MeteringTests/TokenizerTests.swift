import Testing

@testable import Metering

@Suite struct TokenizerTests {
    static let alphabets = [
        "ab", "-", "-=", " \n\ta", "aA中", "中文a!", "'sS t", "abcdefgh ", "\u{301}A-", "1²a ",
    ]

    /// A text of runs and mixes, at times with wrong bytes in it.
    static func randomText(_ alphabet: String, _ random: inout SeededRandom, breaks: Bool = false) -> [UInt8]
    {
        let scalars = Array(alphabet.unicodeScalars)
        var text: [UInt8] = []
        for _ in 0..<Int.random(in: 1..<8, using: &random) {
            let run = Bool.random(using: &random) ? 1 : Int.random(in: 1..<900, using: &random)
            let mixes = run > 1 ? 1 : Int.random(in: 1..<200, using: &random)
            for _ in 0..<mixes {
                let scalar = scalars.randomElement(using: &random).map { String($0) } ?? ""
                text += Array(String(repeating: scalar, count: run).utf8)
            }
        }
        if breaks {
            for _ in 0..<Int.random(in: 0..<4, using: &random) {
                text[text.indices.randomElement(using: &random) ?? 0] = UInt8.random(
                    in: 0x80...0xff, using: &random)
            }
        }
        return text
    }

    /// All three ways to merge give what the definition gives, whatever the vocabulary.
    @Test(arguments: TokenEncoding.allCases, alphabets)
    func tokensAreThoseOfTheDefinition(encoding: TokenEncoding, alphabet: String) throws {
        for seed in UInt64(1)...2 {
            let small = SmallVocabulary(seed: seed, alphabet: alphabet, merges: 60)
            let tokenizer = Tokenizer(try small.table(encoding))
            var random = SeededRandom(seed)
            for _ in 0..<5 {
                let text = Array(Self.randomText(alphabet, &random).prefix(300))
                let repaired = Array(String(decoding: text, as: UTF8.self).utf8)
                let expected = tokenizer.pieces(repaired).flatMap { small.ids($0) }
                #expect(tokenizer.encode(text) == expected, "seed \(seed), text \(text)")
                #expect(tokenizer.count(text) == expected.count, "seed \(seed), text \(text)")
            }
        }
    }

    @Test func anEmptyTextHasNoTokens() throws {
        let tokenizer = Tokenizer(try SmallVocabulary(seed: 1, alphabet: "a", merges: 0).table(.o200kBase))
        #expect(tokenizer.encode("") == [])
        #expect(tokenizer.count("") == 0)
        #expect(TokenCounting().countSoFar(tokenizer) == 0)
    }

    @Test func allFormsOfATextAreCounted() throws {
        let tokenizer = Tokenizer(try SmallVocabulary(seed: 5, alphabet: "ab ", merges: 40).table(.o200kBase))
        let text = Array("ab ba aab 中".utf8)
        let expected = tokenizer.encode(text)
        #expect(tokenizer.encode(text.span) == expected)
        #expect(tokenizer.encode("ab ba aab 中") == expected)
        #expect(tokenizer.count(text.span) == expected.count)
        #expect(tokenizer.count("ab ba aab 中") == expected.count)
    }
}

import Testing

@testable import Metering

@Suite struct TokenCountingTests {
    private func expectSameForRandomCuts(
        _ text: [UInt8], _ tokenizer: Tokenizer, _ random: inout SeededRandom, _ note: Comment
    ) {
        let expected = tokenizer.encode(text).count
        #expect(tokenizer.count(text) == expected, note)
        let longest = [1, 3, 17, 400, 5_000].randomElement(using: &random) ?? 1
        var counting = TokenCounting()
        var at = 0
        while at < text.count {
            let end = min(text.count, at + Int.random(in: 1...longest, using: &random))
            counting.feed(Array(text[at..<end]), tokenizer)
            at = end
        }
        #expect(counting.countSoFar(tokenizer) == expected, note)
        #expect(counting.finish(tokenizer) == expected, note)
    }

    /// It must not matter where a stream is cut. Vocabularies, texts and cuts come from the seed that a failure names.
    @Test(arguments: TokenEncoding.allCases, TokenizerTests.alphabets)
    func theCountIsTheSameForEveryCut(encoding: TokenEncoding, alphabet: String) throws {
        let seed = UInt64.random(in: 0..<1_000_000)
        let small = SmallVocabulary(seed: seed, alphabet: alphabet, merges: 60)
        let tokenizer = Tokenizer(try small.table(encoding))
        var random = SeededRandom(seed)
        for _ in 0..<10 {
            let text = TokenizerTests.randomText(alphabet, &random, breaks: true)
            self.expectSameForRandomCuts(
                text, tokenizer, &random, "\(alphabet.debugDescription), seed \(seed)")
        }
    }

    /// Every single cut of a text that has all the rules in it, also inside of scalars.
    @Test(arguments: TokenEncoding.allCases)
    func everyCutOfAShortTextIsTheSame(encoding: TokenEncoding) throws {
        let small = SmallVocabulary(seed: 8, alphabet: "'sabn \n!", merges: 80)
        let tokenizer = Tokenizer(try small.table(encoding))
        let text =
            Array("it's 中ABs \n \n  'LL!!\n/a😀\u{301}A 1234 \u{3000}\u{3000}x \n ".utf8) + [0xf0, 0x9f]
        let expected = tokenizer.encode(text).count
        for cut in 0...text.count {
            var counting = TokenCounting()
            counting.feed(Array(text[..<cut]), tokenizer)
            counting.feed(Array(text[cut...]), tokenizer)
            #expect(counting.finish(tokenizer) == expected, "cut at byte \(cut)")
        }
    }

    /// The count can be asked for at any time, and is that of the text so far.
    @Test(arguments: TokenEncoding.allCases)
    func everyPrefixIsCountedAsAText(encoding: TokenEncoding) throws {
        let small = SmallVocabulary(seed: 9, alphabet: "ab \n", merges: 60)
        let tokenizer = Tokenizer(try small.table(encoding))
        let text = Array("ab \n  ba's 中A中AB\n\n !! \n".utf8)
        var counting = TokenCounting()
        for index in text.indices {
            counting.feed([text[index]], tokenizer)
            #expect(
                counting.countSoFar(tokenizer) == tokenizer.encode(Array(text[...index])).count,
                "byte \(index)")
        }
    }

    /// Pieces without end, each kind, with each way to go on: longer than what is held, and than what is looked at.
    @Test(arguments: TokenEncoding.allCases, [600, 1_100])
    func longPiecesAreCountedAsTheyPass(encoding: TokenEncoding, count: Int) throws {
        let small = SmallVocabulary(seed: 10, alphabet: "aA- \n!", merges: 120)
        let tokenizer = Tokenizer(try small.table(encoding))
        var random = SeededRandom(UInt64(count))
        let heads = ["", " ", "\u{301}", "中", "  ", "x"]
        let runs = [
            "a", "A", "中A", "A中", "中AAAAAAAAAAAAA", "-", " ", " \n", "\n", "\u{301}", "\u{3000}", "!é",
            "-/\n",
        ]
        let tails = ["", "a", "'s", "'ll b", "!", "/\n/ ", " x", "\n"]
        for head in heads {
            for run in runs {
                for tail in tails {
                    let text = head + String(repeating: run, count: count / run.utf8.count) + tail
                    let expected = tokenizer.encode(text).count
                    let bytes = Array(text.utf8)
                    #expect(tokenizer.count(bytes) == expected, "\(head)|\(run)|\(tail)")
                    let cut = Int.random(in: 0...bytes.count, using: &random)
                    var counting = TokenCounting()
                    counting.feed(Array(bytes[..<cut]), tokenizer)
                    counting.feed(Array(bytes[cut...]), tokenizer)
                    #expect(counting.finish(tokenizer) == expected, "\(head)|\(run)|\(tail), cut at \(cut)")
                }
            }
        }
    }

    /// A long prompt is counted in slices between other events: each does a bounded amount, and all give the same.
    @Test(arguments: TokenEncoding.allCases, [1, 10, TokenCounting.budgetDefault])
    func slicesGiveTheSameAndAreSmall(encoding: TokenEncoding, budget: Int) throws {
        let small = SmallVocabulary(seed: 11, alphabet: "ab -", merges: 100)
        let tokenizer = Tokenizer(try small.table(encoding))
        for part in ["ab ba ", "a", "-- ", "-", "中A", "\u{fffd}", "   \n"] {
            let text = Array(String(repeating: part, count: 9_000 / part.utf8.count).utf8)
            var counting = TokenCounting()
            var at = 0
            text.withUnsafeBufferPointer { text in
                while at < text.count {
                    let rest = UnsafeBufferPointer(rebasing: text[at...])
                    let taken = counting.advance(rest, budget: budget, tokenizer)
                    #expect(taken > 0)
                    // Each step is good for a piece of a token; a run that is counted as it passes takes 256 bytes.
                    let steps = tokenizer.encoder.space.steps.pointee
                    #expect(steps <= budget + 2_100, "\(part) took \(steps) steps")
                    at += taken
                }
            }
            #expect(counting.finish(tokenizer) == tokenizer.encode(text).count, "\(part)")
        }
    }

    @Test func aStateGoesOnWithAnotherTokenizerAndAsACopy() throws {
        let table = try SmallVocabulary(seed: 12, alphabet: "ab ", merges: 60).table(.o200kBase)
        let first = Tokenizer(table)
        let second = Tokenizer(table)
        var counting = TokenCounting()
        counting.feed(Array("abab".utf8), first)
        var copy = counting
        counting.feed(Array("ab a".utf8), second)
        copy.feed(Array(" bb".utf8), first)
        #expect(counting.finish(first) == first.encode("ababab a").count)
        #expect(copy.finish(second) == first.encode("abab bb").count)
        copy.restart()
        #expect(copy.finish(first) == 0)
    }
}

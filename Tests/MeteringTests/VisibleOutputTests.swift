import Testing

@testable import Metering

/// What was shown is counted whatever it came in: it limits a rolling hold, and is charged when no usage comes.
@Suite struct VisibleOutputTests {
    static let vocabulary = SmallVocabulary(seed: 4, alphabet: "abc ", merges: 80)

    static func tokenizer() throws -> Tokenizer { Tokenizer(try self.vocabulary.table(.o200kBase)) }

    static func text(_ words: Int, using dice: inout SplitMix64) -> String {
        (0..<words).map { _ in
            String(
                (0..<Int.random(in: 1...9, using: &dice)).map { _ in "abc".randomElement(using: &dice) ?? "a"
                })
        }.joined(separator: " ")
    }

    static func add(
        _ text: String, deltas: Int = 1, to output: inout VisibleOutput, _ tokenizer: Tokenizer?,
        keeping kept: Int = 2048
    ) -> Int {
        var steps = TokenCounting.budgetDefault
        output.add(
            deltas: deltas, text: Array(text.utf8.prefix(kept)), bytes: text.utf8.count, tokenizer,
            steps: &steps)
        return steps
    }

    /// An upstream that puts many tokens into one delta is paid for all of them.
    @Test func tokensOfFewDeltasAreCounted() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("VisibleOutputTests.few, seed \(seed)")
        var dice = SplitMix64(state: seed)
        let tokenizer = try Self.tokenizer()
        for round in 0..<200 {
            var output = VisibleOutput()
            var whole = ""
            for _ in 0..<Int.random(in: 1...30, using: &dice) {
                let part = Self.text(.random(in: 1...30, using: &dice), using: &dice) + " "
                _ = Self.add(part, to: &output, tokenizer)
                whole += part
            }
            let count = tokenizer.count(whole)
            // The end of the text is not decided: at most its tokens are missing, and none is made up but by the net of
            // five bytes to the token.
            let isNear = output.tokens >= Int64(count) - 40 && output.tokens <= Int64(count) + 13
            guard isNear, output.bytes == whole.utf8.count else {
                Issue.record("seed \(seed) round \(round): \(output.tokens) of \(count)")
                return
            }
        }
    }

    @Test func eachDeltaIsATokenAtLeast() throws {
        for tokenizer in [nil, try Self.tokenizer()] {
            var output = VisibleOutput()
            for _ in 0..<50 { _ = Self.add("a", to: &output, tokenizer) }
            #expect(output.tokens == 50 && output.deltas == 50)
            // Audio has deltas and no text.
            var steps = 0
            output.add(deltas: 1, text: [], bytes: 0, tokenizer, steps: &steps)
            #expect(output.tokens == 51)
        }
    }

    @Test func withoutAnEncodingFiveBytesAreAToken() {
        var output = VisibleOutput()
        _ = Self.add(String(repeating: "x", count: 5001), to: &output, nil)
        #expect(output.tokens == 1001)
    }

    /// The loop must go on: what one call counts is bounded, and the rest is estimated by it.
    @Test func whatThereIsNoTimeForIsEstimatedByWhatWasCounted() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("VisibleOutputTests.bounded, seed \(seed)")
        var dice = SplitMix64(state: seed)
        let tokenizer = try Self.tokenizer()
        let text = Self.text(20_000, using: &dice)
        var output = VisibleOutput()
        #expect(Self.add(text, to: &output, tokenizer) <= 0)
        let steps = tokenizer.encoder.space.steps.pointee
        #expect(steps < 2 * TokenCounting.budgetDefault, "\(steps)")
        let count = Double(tokenizer.count(text))
        let share = Double(output.tokens) / count
        #expect(share > 0.7 && share < 1.4, "seed \(seed): \(share)")
    }

    @Test func anEchoedPromptIsNoOutput() throws {
        for tokenizer in [nil, try Self.tokenizer()] {
            var output = VisibleOutput(echo: EchoedPrompt(deltas: 1, tokens: 200))
            _ = Self.add(String(repeating: "x ", count: 500), to: &output, nil)
            #expect(output.tokens == 0)
            for _ in 0..<9 { _ = Self.add("a", to: &output, tokenizer) }
            #expect(output.tokens == 9)
        }
    }

    @Test func aLargerOutputIsNeverTakenForOneThatFits() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("VisibleOutputTests.fits, seed \(seed)")
        var dice = SplitMix64(state: seed)
        let tokenizer = try Self.tokenizer()
        var output = VisibleOutput()
        for _ in 0..<3000 {
            let text = Self.text(.random(in: 1...5, using: &dice), using: &dice)
            let before = output
            _ = Self.add(text, to: &output, tokenizer)
            let most = output.tokens - 1
            guard before.couldExceed(most, deltas: 1, bytes: text.utf8.count) else {
                Issue.record(
                    "seed \(seed): \(before.tokens) and \(text.utf8.count) bytes are \(output.tokens)")
                return
            }
        }
        #expect(!output.couldExceed(output.tokens + 2000, deltas: 1, bytes: 5))
    }

    /// A whole reply that tells no usage is charged by its text too.
    @Test(arguments: [ReplyShape.completions, .responses]) func theTextOfAWholeReplyIsCounted(
        shape: ReplyShape
    )
        throws
    {
        let seed = UInt64.random(in: .min ... .max)
        print("VisibleOutputTests.whole, seed \(seed)")
        var dice = SplitMix64(state: seed)
        let tokenizer = try Self.tokenizer()
        let text = Self.text(60, using: &dice)
        let count = Int64(tokenizer.count(text))
        let reply =
            shape == .completions
            ? #"{"choices":[{"message":{"content":"\#(text)"}}]}"#
            : #"{"output":[{"type":"message","content":[{"type":"output_text","text":"\#(text)"}]}],"usage":null}"#
        let bytes = Array(reply.utf8)
        for cut in stride(from: 0, to: bytes.count, by: 7) {
            var scanner = JSONUsageScanner(shape: shape)
            for piece in [bytes[..<cut], bytes[cut...]] {
                piece.withUnsafeBytes { scanner.feed($0, tokenizer) }
            }
            scanner.finish()
            let tokens = scanner.output.tokens
            guard abs(tokens - count) < 40, tokens > Int64(text.utf8.count / 5) else {
                Issue.record("seed \(seed), cut at \(cut): \(tokens) of \(count)")
                return
            }
        }
    }
}

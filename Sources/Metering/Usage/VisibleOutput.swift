/// Tokens of what a client was shown: what a rolling hold must cover, and what is charged when no usage comes.
///
/// The larger of two figures, of which each is too low rather than too high: the deltas, each a token at least, and the
/// tokens of their text, since upstreams put many tokens into one delta. Text is counted by the encoding of the model, in
/// bounded steps. What goes beyond them, and the few bytes whose pieces are not decided yet, is estimated. A usage that
/// upstream reports replaces all of this.
public struct VisibleOutput: Sendable {
    /// Output deltas with visible content, over all choices.
    public private(set) var deltas = 0
    /// Bytes of visible text, after unescaping.
    public private(set) var bytes = 0
    private let echo: EchoedPrompt
    /// Made with the first text that is counted.
    private var counting: TokenCounting?
    private var countedBytes = 0
    /// Text of a model whose encoding is not known.
    private var plainBytes = 0
    /// Estimated tokens of text that there was no time to count.
    private var guessedTokens: Int64 = 0

    /// So much must be counted before the rest is estimated by it.
    private static let sampleBytes = 128

    public init(echo: EchoedPrompt = .none) { self.echo = echo }

    /// Tokens that the model wrote.
    public var tokens: Int64 {
        let decided = self.counting?.decided ?? (tokens: 0, bytesBehind: 0)
        let estimated = TokenEstimate.tokens(textBytes: self.plainBytes + decided.bytesBehind)
        let text = Int64(decided.tokens) + self.guessedTokens + estimated
        return max(0, Int64(self.deltas) - self.echo.deltas, text - self.echo.tokens)
    }

    /// More was shown.
    ///
    /// - Parameters:
    ///   - deltas: that it came in.
    ///   - text: its beginning, as far as it was kept.
    ///   - bytes: of all of it.
    ///   - tokenizer: of the model; nil: its encoding is not known. The same at each call.
    ///   - steps: left of what may be counted now, see `TokenCounting.advance`.
    mutating func add(
        deltas: Int, text: [UInt8], bytes: Int, _ tokenizer: Tokenizer?, steps: inout Int
    ) {
        self.deltas += deltas
        self.bytes += bytes
        guard bytes > 0 else { return }
        guard let tokenizer else {
            self.plainBytes += bytes
            return
        }
        let taken = text.withUnsafeBufferPointer { self.count($0, tokenizer, &steps) }
        self.countedBytes += taken
        guard taken < bytes else { return }
        let guess = self.guess(bytes - taken)
        self.guessedTokens += taken == 0 ? max(Int64(deltas), guess) : guess
    }

    /// Estimated tokens of text that was not counted: as many to the byte as in what was.
    func guess(_ bytes: Int) -> Int64 {
        let decided = self.counting?.decided ?? (tokens: 0, bytesBehind: 0)
        let sample = self.countedBytes - decided.bytesBehind
        guard sample >= Self.sampleBytes else { return TokenEstimate.tokens(textBytes: bytes) }
        return Int64(bytes) * Int64(decided.tokens) / Int64(sample)
    }

    /// Whether so much more could make more than `max` tokens of it; false is certain. No token is shorter than a byte.
    func couldExceed(_ max: Int64, deltas: Int, bytes: Int) -> Bool {
        let behind = self.counting?.decided.bytesBehind ?? 0
        return self.tokens > max - Int64(deltas + bytes + behind)
    }

    /// - Returns: bytes counted.
    private mutating func count(
        _ text: UnsafeBufferPointer<UInt8>, _ tokenizer: Tokenizer, _ steps: inout Int
    ) -> Int {
        var taken = 0
        while taken < text.count, steps > 0 {
            let rest = UnsafeBufferPointer(rebasing: text[taken...])
            let counted = self.counting.advance(rest, budget: steps, tokenizer)
            taken += counted.bytes
            steps -= max(1, counted.steps)
        }
        return taken
    }
}

/// A prompt that the reply repeats in front of each choice (`echo` of `/v1/completions`): shown, but not written by the
/// model, and billed as input.
public struct EchoedPrompt: Sendable, Hashable {
    /// Deltas that it comes in, over all choices.
    public var deltas: Int64
    /// Tokens, over all choices.
    public var tokens: Int64

    public static let none = EchoedPrompt(deltas: 0, tokens: 0)

    public init(deltas: Int64, tokens: Int64) {
        self.deltas = deltas
        self.tokens = tokens
    }
}

extension Optional<TokenCounting> {
    /// Counts on, from the beginning if nothing was counted yet.
    fileprivate mutating func advance(
        _ text: UnsafeBufferPointer<UInt8>, budget: Int, _ tokenizer: Tokenizer
    ) -> (bytes: Int, steps: Int) {
        // Taken out, so that what it holds is not copied.
        var counting = self.take() ?? TokenCounting()
        let bytes = counting.advance(text, budget: budget, tokenizer)
        self = consume counting
        return (bytes, tokenizer.encoder.space.steps.pointee)
    }
}

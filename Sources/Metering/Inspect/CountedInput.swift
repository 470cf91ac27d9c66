/// What was counted of a request's texts. Nothing: they are held for by their bytes.
public struct CountedInput: Sendable, Equatable {
    /// Of the texts as they stand in the body, escapes included.
    public var bodyBytes = 0
    /// Of the texts themselves.
    public var textBytes = 0
    /// As the documented encoding of the model cuts them.
    public var tokens: Int64 = 0

    public init() {}

    /// Tokens to hold for in place of `bodyBytes`.
    ///
    /// Where text merges better than four bytes to the token, which only monotonous text does, four are taken: a net
    /// under an upstream that counts by another vocabulary than the documented one. Ordinary text has about four
    /// (facts C3), so the net costs nothing.
    var tokensMax: Int64 { min(Int64(self.bodyBytes), max(self.tokens, Int64((self.textBytes + 3) / 4))) }
}

extension CountedInput {
    /// Counts all texts of a request at once, which takes up to 25 ms: not on an event loop.
    public init(_ request: InspectedRequest, of body: UnsafeRawBufferPointer, _ tables: EncodingTables) {
        self.init()
        guard var counting = InputCounting(request), let table = tables[counting.encoding] else { return }
        let tokenizer = Tokenizer(table)
        while !counting.advance(body, steps: .max, tokenizer) {}
        self = counting.counted
    }
}

/// Counts the texts of a request in slices, so that no loop stands still for one request.
public struct InputCounting: Sendable {
    public let encoding: TokenEncoding
    /// Of the texts that are done.
    public private(set) var counted = CountedInput()
    private let texts: [RequestTexts.Text]
    private var index = 0
    /// Where to go on in the body, in the current text.
    private var position: Int
    private var text = TokenCounting()
    /// A part of the current text with its escapes resolved, and how much of it is counted.
    private var part: [UInt8] = []
    private var partTaken = 0

    private static let partBytes = 1024

    /// nil: there is nothing to count, or the model has no encoding that is built in.
    public init?(_ request: InspectedRequest) {
        guard let encoding = TokenEncoding(model: request.model) else { return nil }
        self.init(request, encoding)
    }

    /// - Parameter encoding: of the request's model.
    ///
    /// nil: there is nothing to count.
    public init?(_ request: InspectedRequest, _ encoding: TokenEncoding) {
        guard let first = request.texts.all.first else { return nil }
        self.encoding = encoding
        self.texts = request.texts.all
        self.position = first.range.lowerBound
    }

    /// Counts on, at most to the end of a text, until about `steps` are done: see `TokenCounting.advance`.
    ///
    /// - Parameter body: the same bytes that were inspected.
    /// - Returns: whether all is counted.
    public mutating func advance(
        _ body: UnsafeRawBufferPointer, steps: Int = TokenCounting.budgetDefault, _ tokenizer: Tokenizer
    ) -> Bool {
        guard self.index < self.texts.count else { return true }
        let current = self.texts[self.index]
        if current.isEscaped {
            self.advancePart(body, current.range.upperBound, steps, tokenizer)
        } else {
            let rest = UnsafeRawBufferPointer(rebasing: body[self.position..<current.range.upperBound])
            let taken = self.take(rest, steps, tokenizer)
            self.position += taken
            self.counted.textBytes += taken
        }
        guard self.position == current.range.upperBound, self.partTaken == self.part.count else {
            return false
        }
        self.counted.tokens += Int64(self.text.finish(tokenizer))
        self.counted.bodyBytes += current.range.count
        return self.beginNext()
    }

    private mutating func advancePart(
        _ body: UnsafeRawBufferPointer, _ end: Int, _ steps: Int, _ tokenizer: Tokenizer
    ) {
        if self.partTaken == self.part.count {
            self.part.removeAll(keepingCapacity: true)
            self.partTaken = 0
            self.position = JSONText.unescape(
                body, self.position..<end, into: &self.part, countMax: Self.partBytes)
            self.counted.textBytes += self.part.count
        }
        let part = self.part
        let from = self.partTaken
        let taken = part.withUnsafeBytes {
            self.take(UnsafeRawBufferPointer(rebasing: $0[from...]), steps, tokenizer)
        }
        self.partTaken += taken
    }

    private mutating func take(
        _ bytes: UnsafeRawBufferPointer, _ steps: Int, _ tokenizer: Tokenizer
    ) -> Int {
        bytes.withMemoryRebound(to: UInt8.self) { self.text.advance($0, budget: steps, tokenizer) }
    }

    private mutating func beginNext() -> Bool {
        self.index += 1
        guard self.index < self.texts.count else { return true }
        self.text.restart()
        self.part.removeAll(keepingCapacity: true)
        self.partTaken = 0
        self.position = self.texts[self.index].range.lowerBound
        return false
    }
}

/// Reads the usage of a whole (non-streaming) reply that comes in pieces. O(1) memory, the same result for
/// any split.
public struct JSONUsageScanner: Sendable {
    private var document: ReplyScanner
    private var isFinished = false
    /// Visible texts, in tokens: what is charged when the reply tells nothing of its usage.
    public private(set) var output: VisibleOutput
    /// Bytes of a byte order mark that were passed: one may stand before the document. 3: none can follow.
    private var markBytes = 0

    /// - Parameter echo: what the reply repeats of its request.
    public init(shape: ReplyShape = .completions, echo: EchoedPrompt = .none) {
        self.document = ReplyScanner(shape: shape, keeps: .texts)
        self.output = VisibleOutput(echo: echo)
    }

    /// - Parameter tokenizer: counts the texts, in steps that are bounded for each call; nil: the encoding of the model is
    ///   not known. The same at each call.
    public mutating func feed(_ bytes: UnsafeRawBufferPointer, _ tokenizer: Tokenizer? = nil) {
        let shown = self.document.visibleBytes
        self.document.feed(self.withoutMark(bytes))
        var steps = TokenCounting.budgetDefault
        self.output.add(
            deltas: 0, text: self.document.keptOutput, bytes: self.document.visibleBytes - shown, tokenizer,
            steps: &steps)
        self.document.emptyKept()
    }

    /// A byte order mark is no JSON, but common enough in front of it.
    private mutating func withoutMark(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let mark: StaticString = "\u{feff}"
        var at = 0
        while self.markBytes < 3, at < bytes.count {
            guard bytes[at] == mark.utf8Start[self.markBytes] else {
                // What is left of a mark that was begun is garbage in front of the document, which is not believed then.
                if self.markBytes > 0 { self.document.breakOff() }
                self.markBytes = 3
                break
            }
            self.markBytes += 1
            at += 1
        }
        return UnsafeRawBufferPointer(rebasing: bytes[at...])
    }

    /// The reply has ended, as framed.
    public mutating func finish() {
        guard !self.isFinished else { return }
        self.document.finish()
        self.isFinished = true
    }

    /// nil: absent, null, or unreadable.
    public var report: ReportedUsage? { self.document.report }
    /// The usage object could not be read, or the reply is not one whole JSON document.
    public var malformedUsage: Bool {
        self.document.isUsageMalformed || (self.isFinished && !self.document.isComplete)
    }
    /// As the reply names it.
    public var model: String? { self.document.model.string }
    public var serviceTier: String? { self.document.serviceTier }
    /// `id` of the response.
    public var identifier: String? { self.document.identifier.string }
    /// Calls of hosted tools with a fee.
    public var tools: ToolCalls { self.document.toolCalls.billed }
    /// A response that ended, in whichever way: nothing will be added to it.
    public var isTerminal: Bool {
        let status = self.document.status
        return status.equals("completed") || status.equals("incomplete") || status.equals("failed")
            || status.equals("cancelled")
    }
    /// Elements of `choices`.
    public var choicesCount: Int { self.document.choices ?? 0 }
    /// Choices with visible output.
    public var visibleChoices: Int { self.document.visibleChoices }
    public var visibleBytes: Int { self.document.visibleBytes }
    /// The reply has an `error` that is not null.
    public var isErrorObject: Bool { self.document.hasError }
}

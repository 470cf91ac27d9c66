/// Reads the usage of a whole (non-streaming) reply that comes in pieces. O(1) memory, the same result for
/// any split.
public struct JSONUsageScanner: Sendable {
    private var document: ReplyScanner
    private var isFinished = false

    public init(shape: ReplyShape = .completions) { self.document = ReplyScanner(shape: shape) }

    public mutating func feed(_ bytes: UnsafeRawBufferPointer) { self.document.feed(bytes) }

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
    public var serviceTier: String? { self.document.serviceTier.string }
    /// `id` of the response.
    public var identifier: String? { self.document.identifier.string }
    /// Calls of hosted tools with a fee.
    public var tools: ToolCalls { self.document.calls }
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

/// Looks at a stream of server-sent events on its way to the client, reads the usage, and takes the injected
/// usage chunk out again. Everything else goes on byte by byte as it came.
///
/// Zero frame lag: every complete line is released in the call that completes it. Of an unfinished line at
/// most 16 KiB are held back, so that a cut stream never ends in half a frame; a longer line goes on as it
/// comes. O(1) memory, and the same bytes and the same report for any split.
public struct SSEUsageTap: Sendable {
    /// The last usage object seen; nil: absent, null, or unreadable.
    public var report: ReportedUsage? { if case .usage(let report) = self.told { report } else { nil } }
    /// The last usage object could not be read.
    public internal(set) var malformedUsage = false
    /// So many tokens may go on; what has the next is withheld, and nothing behind it is looked at. nil: all.
    public var visibleTokensMax: Int64?
    public internal(set) var finishReasonsSeen = 0
    /// The stream said that it is whole: `[DONE]`, or the last event of a response.
    public internal(set) var sawDone = false
    public internal(set) var sawErrorFrame = false
    /// The client has seen the beginning of a line whose end it has not.
    public internal(set) var isInsideReleasedLine = false

    static let heldBytesMax = 16 << 10

    /// What went on, as far as it counts.
    struct Passed: Sendable {
        var output: VisibleOutput
        /// `sequence_number` of the last event.
        var sequenceNumber: Int64?
    }

    /// Another `Passed`, which few streams need: behind a reference, so that thousands that wait do not carry its room.
    indirect enum Spare: Sendable {
        case none
        case some(Passed)

        var value: Passed? { if case .some(let passed) = self { passed } else { nil } }

        mutating func take() -> Passed? {
            guard case .some(let passed) = self else { return nil }
            self = .none
            return passed
        }
    }

    /// A usage object, behind a reference as well: it comes with the last chunk.
    indirect enum Told: Sendable {
        case nothing
        case usage(ReportedUsage)
    }

    var told = Told.nothing
    var passed: Passed
    /// What it was in front of the last document, if that may be more than can go on.
    var passedBefore = Spare.none
    /// What it will be when the withheld line goes on.
    var passedWithheld = Spare.none
    /// What is beyond `visibleTokensMax`: a line with its end, or the part of a long one that came so far.
    var withheld: [UInt8] = []
    var withheldEndsLine = true
    let stripUsage: Bool
    let shape: ReplyShape
    var itemsSeen = ToolCalls()
    var lastCalls: ReplyToolCalls?
    var line = Line.field(matched: 0)
    /// Bytes of the line so far, without its end.
    var lineBytes = 0
    var markBytes = 0
    var isFirstLine = true
    /// The last line ended in a carriage return, the last byte so far; whether it was released.
    private var carriageReturn: Bool?
    var document: ReplyScanner
    /// The document goes on in the next `data:` line.
    var documentIsOpen = false
    var documentSpansLines = false
    /// The event has fields beside data, such as `event:`; its blank line belongs to them.
    var eventHasFields = false
    var dropsNextBlank = false
    /// The unfinished line as far as it is held back.
    var carry: [UInt8] = []
    /// Left of what may be counted in this call.
    var stepsLeft = 0

    /// - Parameters:
    ///   - stripUsage: takes out the chunk that holds nothing but usage; only chat and completions have one.
    ///   - echo: what the stream repeats of its request.
    public init(shape: ReplyShape = .completions, stripUsage: Bool, echo: EchoedPrompt = .none) {
        self.shape = shape
        self.stripUsage = stripUsage
        self.document = ReplyScanner(shape: shape, keeps: shape == .completions ? .texts : .deltas)
        self.passed = Passed(output: VisibleOutput(echo: echo))
    }

    /// Tokens of visible output that went on, over all choices.
    public var visibleTokens: Int64 { self.passed.output.tokens }
    /// Output deltas with visible content that went on, over all choices.
    public var visibleDeltas: Int { self.passed.output.deltas }
    /// Bytes of visible output that went on, after unescaping.
    public var visibleBytes: Int { self.passed.output.bytes }
    /// `sequence_number` of the last event that went on.
    public var sequenceNumber: Int64? { self.passed.sequenceNumber }
    /// As the last frame that named it.
    public var model: String? { self.document.model.string }
    /// As the last frame that named it.
    public var serviceTier: String? { self.document.serviceTier }
    /// `id` of the response, or of the chunks.
    public var identifier: String? { self.document.identifier.string }

    /// Calls of hosted tools: those whose items ended, or that the whole response lists, whichever are more, since a
    /// response that failed may list nothing. Of searches `tool_usage` knows better than either.
    public var tools: ToolCalls {
        guard let last = self.lastCalls else { return self.itemsSeen }
        var calls = self.itemsSeen.maximum(last.listed)
        if let searches = last.billableSearches { calls[.webSearch] = searches }
        return calls
    }

    // MARK: Bytes

    /// Looks at the next bytes of the stream. The rest behind `consumed` is to be fed again, when more may go on.
    ///
    /// - Parameter tokenizer: counts the text, in steps that are bounded for each call; nil: the encoding of the model is
    ///   not known. The same at each call.
    public mutating func feed(_ bytes: UnsafeRawBufferPointer, _ tokenizer: Tokenizer? = nil) -> Released {
        var released = Released()
        guard self.releaseWithheld(into: &released) else { return released }
        self.stepsLeft = TokenCounting.budgetDefault
        released.consumed = bytes.count
        var start = 0
        if let wasReleased = self.carriageReturn, let first = bytes.first {
            self.carriageReturn = nil
            if first == 0x0a {
                if wasReleased { released.append(0..<1) }
                start = 1
            }
        }
        while start < bytes.count {
            guard let end = ByteSearch.lineEnd(bytes, start) else {
                self.scan(UnsafeRawBufferPointer(rebasing: bytes[start...]))
                self.keep(bytes, start, &released)
                break
            }
            self.scan(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
            var next = end + 1
            if bytes[end] == 0x0d, next < bytes.count, bytes[next] == 0x0a { next += 1 }
            let drops = self.endLine(tokenizer)
            let endsInReturn = bytes[end] == 0x0d && next == bytes.count
            if self.isBeyondMax() {
                self.withhold(bytes[start..<next], endsLine: true)
                if endsInReturn { self.carriageReturn = true }
                released.consumed = next
                return released
            }
            self.passedBefore = .none
            if !drops {
                // A carried line can only be the first of a call.
                if !self.carry.isEmpty { released.carried = self.carry }
                released.append(start..<next)
            }
            if !self.carry.isEmpty { self.carry = [] }
            self.isInsideReleasedLine = false
            if endsInReturn { self.carriageReturn = !drops }
            start = next
        }
        return released
    }

    /// A second passed, about: a stream in which little comes keeps less of it. What it reports does not change.
    public mutating func secondPassed() { self.document.last.secondPassed() }

    /// The stream ended: whatever was held back goes on, since upstream meant it so; unless it is not paid for.
    public mutating func finish(_ tokenizer: Tokenizer? = nil) -> Released {
        var released = Released()
        self.stepsLeft = TokenCounting.budgetDefault
        if self.lineBytes > 0 {
            let drops = self.endLine(tokenizer)
            if self.isBeyondMax() {
                if let before = self.passedBefore.value { self.passed = before }
            } else if !drops {
                released.carried = self.carry
            }
            self.carry = []
        }
        if self.documentIsOpen { self.takeDocument(tokenizer) }
        return released
    }

    /// An unfinished line: held back while it may yet be stripped, or is not paid for.
    private mutating func keep(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ released: inout Released) {
        if !self.isInsideReleasedLine, self.lineBytes <= Self.heldBytesMax {
            self.carry.append(contentsOf: bytes[start...])
            return
        }
        if self.isBeyondMax() {
            self.withhold(bytes[start...], endsLine: false)
            return
        }
        if !self.carry.isEmpty {
            released.carried = self.carry
            self.carry = []
        }
        self.isInsideReleasedLine = true
        released.append(start..<bytes.count)
    }
}

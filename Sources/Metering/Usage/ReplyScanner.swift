/// Reads what metering needs out of JSON that comes in pieces: the chunks or events of a stream one after the other,
/// or one whole reply.
///
/// An incremental tokenizer with a short path, not a parser: O(1) memory, the same result for any split, and
/// text inside strings can never pass for structure. It is strict about structure and strings; of numbers
/// that metering does not read it checks only the characters.
///
/// Its state is written by the extensions of the other files only.
struct ReplyScanner: Sendable {
    // MARK: What the document said

    /// nil: no usage object, null, or one that could not be read.
    var report: ReportedUsage? { self.usageIsWhole ? self.usage : nil }
    /// The usage object ended, and can be believed. No count is taken outside of one, so behind its end it does not change.
    var usageIsWhole = false
    /// Something stood in the place of the usage object, or of one of its numbers, that cannot be read.
    var isUsageMalformed = false
    var hasUsageObject = false
    /// Elements of `choices`; nil when there is no such array.
    var choices: Int?
    var hasError = false
    /// Choices with visible output.
    var visibleChoices = 0
    /// Bytes of visible output, after unescaping.
    var visibleBytes = 0
    var finishReasons = 0
    /// The last that a document named; `begin` keeps them.
    var model = ShortText<128>()
    var tier = ShortText<64>()
    /// `id` of the response object, or of the document; kept as well.
    var identifier = ShortText<128>()
    /// `type` of an event.
    var type = ShortText<128>()
    /// `status` of the response object.
    var status = ShortText<32>()
    /// Bytes of the event's own `delta`.
    var deltaBytes = 0
    /// `sequence_number` of an event.
    var sequenceNumber: Int64?
    var toolCalls = ReplyToolCalls()
    /// The beginning of the output that `keeps` names; the owner empties it.
    private(set) var keptOutput: [UInt8] = []
    /// What of the output is kept to be counted.
    let keeps: Kept

    // MARK: Where it is

    /// Texts of choices and items, or the event's own `delta`.
    enum Kept { case nothing, texts, deltas }

    /// More than can be counted of one event.
    private static let keptBytesMax = 2 << 10

    enum State: UInt8 {
        case value, valueOrEnd, key, keyOrEnd, colon, afterValue
        case string, escape, hexadecimal
        case number, literal
        case complete, broken
    }

    var state: State = .value
    var nesting = Nesting()
    /// What the outermost 8 containers are, outermost in the low byte; all below are `.other`.
    var nodes: UInt64 = 0
    var node: ReplyNode = .other
    /// What the next value, or the one being read, is.
    var slot: ReplySlot = .none
    var stringIsKey = false
    /// No key of ours and no `ShortText` here is longer, so that a text is kept or not however it is cut.
    static let textBytesMax = 128
    /// A key, or a value to keep, that came in pieces or with escapes; nil: longer than anything that is kept.
    var text: [UInt8]? = []
    var textIsWhole = true
    /// Where the string begins, if it is in this piece.
    var stringStart = 0
    /// The document before this one, or this one as far as it was read.
    var last = RepeatedDocument()
    var hexDigitsLeft = 0
    var escapedUnit: UInt32 = 0
    var highSurrogate: UInt32 = 0
    var number: Int64 = 0
    var numberIsBad = false
    var literal: StaticString = "null"
    var literalMatched = 0
    /// As far as it was read; only `report` says whether it counts.
    var usage = ReportedUsage()
    var choiceIsVisible = false
    let shape: ReplyShape
    /// Digits behind the point of a number, and whether there is a point.
    var fraction: (digits: Int, isOpen: Bool) = (0, false)

    init(shape: ReplyShape, keeps: Kept = .nothing) {
        self.shape = shape
        self.keeps = keeps
    }

    var isComplete: Bool { self.state == .complete }

    /// The tier as the reply names it; nil: it names none. A name that is too long to be kept is one all the same: it has
    /// no price, and must not pass for silence.
    var serviceTier: String? { self.tier.isTooLong ? "(too long)" : self.tier.string }

    /// Forgets the document; keeps the model and the tier.
    mutating func begin() {
        self.usageIsWhole = false
        self.isUsageMalformed = false
        self.hasUsageObject = false
        self.choices = nil
        self.hasError = false
        self.visibleChoices = 0
        self.visibleBytes = 0
        self.finishReasons = 0
        self.state = .value
        self.nesting = Nesting()
        self.node = .other
        self.slot = .none
        self.highSurrogate = 0
        self.choiceIsVisible = false
        self.type.clear()
        self.status.clear()
        self.deltaBytes = 0
        self.sequenceNumber = nil
        self.toolCalls = ReplyToolCalls()
        self.emptyKept()
        self.last.begin()
    }

    mutating func feed(_ bytes: UnsafeRawBufferPointer) {
        var at = 0
        while at < bytes.count {
            switch self.state {
            case .string:
                at = self.takeString(bytes, at)
            case .escape, .hexadecimal:
                self.takeEscape(bytes[at])
                at &+= 1
            case .number:
                at = self.takeNumber(bytes, at)
            case .literal:
                at = self.takeLiteral(bytes, at)
            case .broken:
                return
            case .value, .valueOrEnd, .key, .keyOrEnd, .colon, .afterValue, .complete:
                // Replies are indented: a third of their bytes.
                at = ByteSearch.blanksEnd(bytes, at)
                guard at < bytes.count else { return }
                self.takeStructure(bytes[at])
                at &+= 1
            }
        }
    }

    /// No more bytes come. A usage object in a document that is not whole is not believed.
    mutating func finish() {
        if self.choiceIsVisible { self.visibleChoices += 1 }
        self.choiceIsVisible = false
        guard !self.isComplete else { return }
        if self.hasUsageObject { self.isUsageMalformed = true }
        self.usageIsWhole = false
    }

    // MARK: Output

    /// Output that the client sees.
    mutating func see(_ piece: UnsafeRawBufferPointer) { self.see(piece, isDelta: self.node == .root) }

    mutating func see(_ piece: UnsafeRawBufferPointer, isDelta: Bool) {
        if isDelta {
            self.deltaBytes &+= piece.count
        } else {
            self.visibleBytes &+= piece.count
            self.choiceIsVisible = true
        }
        let room = Self.keptBytesMax - self.keptOutput.count
        guard self.keeps == (isDelta ? .deltas : .texts), room > 0 else { return }
        self.keptOutput.append(contentsOf: UnsafeRawBufferPointer(rebasing: piece.prefix(room)))
    }

    mutating func emptyKept() { self.keptOutput.removeAll(keepingCapacity: true) }
}

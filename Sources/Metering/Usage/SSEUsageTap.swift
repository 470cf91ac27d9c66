/// Looks at a stream of server-sent events on its way to the client, reads the usage, and takes the injected
/// usage chunk out again. Everything else goes on byte by byte as it came.
///
/// Zero frame lag: every complete line is released in the call that completes it. Of an unfinished line at
/// most 16 KiB are held back, so that a cut stream never ends in half a frame; a longer line goes on as it
/// comes. O(1) memory, and the same bytes and the same report for any split.
public struct SSEUsageTap: Sendable {
    /// The last usage object seen; nil: absent, null, or unreadable.
    public private(set) var report: ReportedUsage?
    /// The last usage object could not be read.
    public private(set) var malformedUsage = false
    /// Output deltas with visible content that went on, over all choices.
    public var visibleDeltas: Int { self.deltasSeen - self.deltasWithheld }
    /// So many of them may go on; the line that has the next is withheld, and nothing behind it is looked at. nil: all.
    public var visibleDeltasMax: Int?
    /// Bytes of visible output, after unescaping.
    public private(set) var visibleBytes = 0
    public private(set) var finishReasonsSeen = 0
    /// The stream said that it is whole: `[DONE]`, or the last event of a response.
    public private(set) var sawDone = false
    public private(set) var sawErrorFrame = false
    /// The client has seen the beginning of a line whose end it has not.
    public private(set) var isInsideReleasedLine = false

    private static let heldBytesMax = 16 << 10
    private var deltasSeen = 0
    private var deltasWithheld = 0
    /// The line beyond `visibleDeltasMax`, with its end.
    private var withheld: [UInt8] = []
    private let stripUsage: Bool
    private let shape: ReplyShape
    private var itemsSeen = ToolCalls()
    private var finalCalls: ToolCalls?
    private var line = Line.field(matched: 0)
    /// Bytes of the line so far, without its end.
    private var lineBytes = 0
    private var markBytes = 0
    private var isFirstLine = true
    /// The last line ended in a carriage return, the last byte so far; whether it was released.
    private var carriageReturn: Bool?
    private var document: ReplyScanner
    /// The document goes on in the next `data:` line.
    private var documentIsOpen = false
    private var documentSpansLines = false
    /// The event has fields beside data, such as `event:`; its blank line belongs to them.
    private var eventHasFields = false
    private var dropsNextBlank = false
    /// The unfinished line as far as it is held back.
    private var carry: [UInt8] = []

    private enum Line: Equatable {
        /// So many bytes of `data:` matched; a line may yet be another field.
        case field(matched: Int)
        /// Behind `data:`, before the first byte of the payload.
        case payloadStart
        case json
        /// So many bytes of `[DONE]` matched.
        case done(matched: Int)
        case comment
        /// Another field, or data that is no object.
        case other
    }

    /// - Parameter stripUsage: takes out the chunk that holds nothing but usage; only chat and completions have one.
    public init(shape: ReplyShape = .completions, stripUsage: Bool) {
        self.shape = shape
        self.stripUsage = stripUsage
        self.document = ReplyScanner(shape: shape)
    }

    /// As the last frame that named it.
    public var model: String? { self.document.model.string }
    /// As the last frame that named it.
    public var serviceTier: String? { self.document.serviceTier.string }
    /// `id` of the response, or of the chunks.
    public var identifier: String? { self.document.identifier.string }
    /// Calls of hosted tools: as the whole response lists them, else as their items ended.
    public var tools: ToolCalls { self.finalCalls ?? self.itemsSeen }

    /// A line is withheld: more may go on only when `visibleDeltasMax` was raised.
    public var isExhausted: Bool { !self.withheld.isEmpty }

    // MARK: Bytes

    /// Looks at the next bytes of the stream. The rest behind `consumed` is to be fed again, when more may go on.
    public mutating func feed(_ bytes: UnsafeRawBufferPointer) -> Released {
        var released = Released()
        guard self.releaseWithheld(into: &released) else { return released }
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
            let seenBefore = self.deltasSeen
            let drops = self.endLine()
            if self.isBeyondMax, !self.isInsideReleasedLine {
                self.withhold(bytes[start..<next], deltas: self.deltasSeen - seenBefore)
                if bytes[end] == 0x0d, next == bytes.count { self.carriageReturn = true }
                released.consumed = next
                return released
            }
            if !drops {
                // A carried line can only be the first of a call.
                if !self.carry.isEmpty { released.carried = self.carry }
                released.append(start..<next)
            }
            if !self.carry.isEmpty { self.carry = [] }
            self.isInsideReleasedLine = false
            if bytes[end] == 0x0d, next == bytes.count { self.carriageReturn = !drops }
            start = next
        }
        return released
    }

    /// The stream ended: whatever was held back goes on, since upstream meant it so.
    public mutating func finish() -> Released {
        var released = Released()
        if self.lineBytes > 0 {
            let drops = self.endLine()
            if !drops { released.carried = self.carry }
            self.carry = []
        }
        if self.documentIsOpen { self.takeDocument() }
        return released
    }

    // MARK: The end of the allowance

    private var isBeyondMax: Bool { self.visibleDeltasMax.map { self.visibleDeltas > $0 } ?? false }

    private mutating func withhold(_ line: Slice<UnsafeRawBufferPointer>, deltas: Int) {
        self.withheld = self.carry + line
        self.carry = []
        self.deltasWithheld = deltas
    }

    /// Returns false when what is withheld must stay.
    private mutating func releaseWithheld(into released: inout Released) -> Bool {
        guard self.isExhausted else { return true }
        let (line, deltas) = (self.withheld, self.deltasWithheld)
        self.deltasWithheld = 0
        guard !self.isBeyondMax else {
            self.deltasWithheld = deltas
            return false
        }
        released.carried = line
        self.withheld = []
        return true
    }

    /// An unfinished line: held back while it may yet be stripped.
    private mutating func keep(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ released: inout Released) {
        if !self.isInsideReleasedLine, self.lineBytes <= Self.heldBytesMax {
            self.carry.append(contentsOf: bytes[start...])
            return
        }
        if !self.carry.isEmpty {
            released.carried = self.carry
            self.carry = []
        }
        self.isInsideReleasedLine = true
        released.append(start..<bytes.count)
    }

    // MARK: Lines

    /// Bytes of the current line, without its end.
    private mutating func scan(_ bytes: UnsafeRawBufferPointer) {
        self.lineBytes += bytes.count
        var at = 0
        if self.line == .field(matched: 0), bytes.count > 6, ByteSearch.matches(bytes, 0, "data: ") {
            self.line = .payloadStart
            at = 6
        }
        while at < bytes.count {
            switch self.line {
            case .field(let matched):
                self.matchField(bytes[at], matched)
                at += 1
            case .payloadStart:
                if self.documentIsOpen {
                    self.continueDocument()
                } else if bytes[at] == 0x20 || bytes[at] == 0x09 {
                    at += 1
                } else if bytes[at] == UInt8(ascii: "{") {
                    self.document.begin()
                    self.documentIsOpen = true
                    self.line = .json
                } else {
                    self.line = .done(matched: 0)
                }
            case .json:
                self.document.feed(UnsafeRawBufferPointer(rebasing: bytes[at...]))
                return
            case .done(let matched):
                self.matchDone(bytes[at], matched)
                at += 1
            case .comment, .other:
                return
            }
        }
    }

    private mutating func matchField(_ byte: UInt8, _ matched: Int) {
        let wanted: StaticString = "data:"
        let mark: StaticString = "\u{feff}"
        if self.isFirstLine, matched == 0, self.markBytes < 3, byte == mark.utf8Start[self.markBytes] {
            // A byte order mark may stand before the first line.
            self.markBytes += 1
        } else if byte == wanted.utf8Start[matched] {
            self.line = matched == 4 ? .payloadStart : .field(matched: matched + 1)
        } else {
            self.line = matched == 0 && byte == UInt8(ascii: ":") ? .comment : .other
        }
    }

    private mutating func matchDone(_ byte: UInt8, _ matched: Int) {
        let wanted: StaticString = "[DONE]"
        if matched < 6, byte == wanted.utf8Start[matched] {
            self.line = .done(matched: matched + 1)
        } else if matched < 6 || (byte != 0x20 && byte != 0x09) {
            self.line = .other
        }
    }

    /// Data of one event in several lines is one text, joined by line feeds.
    private mutating func continueDocument() {
        self.documentSpansLines = true
        withUnsafeBytes(of: UInt8(0x0a)) { self.document.feed($0) }
        self.line = .json
    }

    /// A line is complete; whether it is to be taken out.
    private mutating func endLine() -> Bool {
        let line = self.line
        let mayDrop = self.stripUsage && !self.isInsideReleasedLine && self.lineBytes <= Self.heldBytesMax
        let isBlank = self.lineBytes == 0
        self.line = .field(matched: 0)
        self.lineBytes = 0
        self.isFirstLine = false
        if isBlank { return self.endEvent() }
        self.dropsNextBlank = false
        switch line {
        case .json:
            guard self.document.isComplete else { return false }
            let isUsage = self.takeDocument()
            self.dropsNextBlank = isUsage && mayDrop
            return self.dropsNextBlank
        case .done(matched: 6):
            self.sawDone = true
        case .field, .other:
            self.eventHasFields = true
        case .payloadStart:
            if self.documentIsOpen { self.continueDocument() }
            self.line = .field(matched: 0)
        case .done, .comment:
            break
        }
        return false
    }

    /// A blank line: the event is complete.
    private mutating func endEvent() -> Bool {
        if self.documentIsOpen { self.takeDocument() }
        let drops = self.dropsNextBlank && !self.eventHasFields
        self.dropsNextBlank = false
        self.eventHasFields = false
        return drops
    }

    /// Takes over what the document said; whether it was a chunk of usage and nothing else.
    @discardableResult
    private mutating func takeDocument() -> Bool {
        self.document.finish()
        let spansLines = self.documentSpansLines
        self.documentIsOpen = false
        self.documentSpansLines = false
        if self.shape == .completions {
            self.deltasSeen += self.document.visibleChoices
            self.visibleBytes += self.document.visibleBytes
        } else {
            self.takeEvent()
        }
        self.finishReasonsSeen += self.document.finishReasons
        if self.document.hasError { self.sawErrorFrame = true }
        if self.document.isUsageMalformed {
            self.malformedUsage = true
            self.report = nil
        } else if let report = self.document.report {
            self.malformedUsage = false
            self.report = report
        }
        return self.document.isComplete && self.document.choices == 0 && self.document.hasUsageObject
            && !self.document.hasError && !spansLines
    }

    /// An event with a type. Later events repeat what the deltas said, so only those are seen as output.
    private mutating func takeEvent() {
        let type = self.document.type
        if self.document.deltaBytes > 0, type.ends(with: ".delta") {
            self.deltasSeen += 1
            // Of audio and images the bytes are base64, and tell nothing of tokens.
            if type.ends(with: "text.delta") || !type.ends(with: "audio.delta") {
                self.visibleBytes += self.document.deltaBytes
            }
        }
        if type.equals("error") { self.sawErrorFrame = true }
        if type.equals("response.output_item.done") { self.itemsSeen.add(self.document.calls) }
        guard Self.isLast(type) else { return }
        self.sawDone = true
        if self.shape == .responses { self.finalCalls = self.document.calls }
    }

    private static func isLast(_ type: ShortText) -> Bool {
        type.equals("response.completed") || type.equals("response.incomplete")
            || type.equals("response.failed") || type.equals("image_generation.completed")
            || type.equals("transcript.text.done") || type.equals("speech.audio.done")
    }
}

extension SSEUsageTap {
    /// What goes to the client after a call: first `carried`, then the ranges of the bytes just fed.
    public struct Released: Sendable {
        /// Held back by an earlier call; usually empty.
        public fileprivate(set) var carried: [UInt8] = []
        /// Bytes of the call that were looked at: all, unless the stream is exhausted.
        public fileprivate(set) var consumed = 0
        private var first: Range<Int> = 0..<0
        private var more: [Range<Int>] = []

        public init() {}

        public var byteCount: Int {
            self.more.reduce(self.carried.count + self.first.count) { $0 + $1.count }
        }

        /// In order; usually one.
        public func forEachFreshRange(_ body: (Range<Int>) -> Void) {
            if !self.first.isEmpty { body(self.first) }
            for range in self.more { body(range) }
        }

        /// `range` is not empty, and lies behind those appended before.
        @inline(__always)
        fileprivate mutating func append(_ range: Range<Int>) {
            if self.first.isEmpty {
                self.first = range
            } else if self.more.isEmpty, self.first.upperBound == range.lowerBound {
                self.first = self.first.lowerBound..<range.upperBound
            } else if let last = self.more.last, last.upperBound == range.lowerBound {
                self.more[self.more.count - 1] = last.lowerBound..<range.upperBound
            } else {
                self.more.append(range)
            }
        }
    }
}

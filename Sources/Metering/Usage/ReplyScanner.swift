/// Reads what metering needs out of JSON that comes in pieces: the chunks or events of a stream one after the other,
/// or one whole reply.
///
/// An incremental tokenizer with a short path, not a parser: O(1) memory, the same result for any split, and
/// text inside strings can never pass for structure. It is strict about structure and strings; of numbers
/// that metering does not read it checks only the characters.
struct ReplyScanner: Sendable {
    // MARK: What the document said

    /// nil: no usage object, null, or one that could not be read.
    private(set) var report: ReportedUsage?
    /// Something stood in the place of the usage object, or of one of its numbers, that cannot be read.
    private(set) var isUsageMalformed = false
    private(set) var hasUsageObject = false
    /// Elements of `choices`; nil when there is no such array.
    private(set) var choices: Int?
    private(set) var hasError = false
    /// Choices with visible output.
    private(set) var visibleChoices = 0
    /// Bytes of visible output, after unescaping.
    private(set) var visibleBytes = 0
    private(set) var finishReasons = 0
    /// The last that a document named; `begin` keeps them.
    private(set) var model = ShortText()
    private(set) var serviceTier = ShortText()
    /// `id` of the response object, or of the document; kept as well.
    private(set) var identifier = ShortText()
    /// `type` of an event.
    private(set) var type = ShortText()
    /// `status` of the response object.
    private(set) var status = ShortText()
    /// Bytes of the event's own `delta`.
    private(set) var deltaBytes = 0
    /// Calls of hosted tools among the items that the document shows.
    private(set) var searchCalls: Int64 = 0
    private(set) var fileSearchCalls: Int64 = 0
    /// Billable searches, as `tool_usage` says; nil: it does not.
    private(set) var billableSearches: Int64?

    // MARK: Where it is

    enum State: UInt8 {
        case value, valueOrEnd, key, keyOrEnd, colon, afterValue
        case string, escape, hexadecimal
        case number, literal
        case complete, broken
    }

    private(set) var state: State = .value
    private var nesting = Nesting()
    /// What the outermost 8 containers are, outermost in the low byte; all below are `.other`.
    private var nodes: UInt64 = 0
    private var node: ReplyNode = .other
    /// What the next value, or the one being read, is.
    private var slot: ReplySlot = .none
    private var stringIsKey = false
    /// A key, or a value to keep, that came in pieces or with escapes.
    private var text = ShortText()
    private var textIsWhole = true
    private var hexDigitsLeft = 0
    private var escapedUnit: UInt32 = 0
    private var highSurrogate: UInt32 = 0
    private var number: Int64 = 0
    private var numberIsBad = false
    private var literal: StaticString = "null"
    private var literalMatched = 0
    private var usage = ReportedUsage()
    private var choiceIsVisible = false
    private let shape: ReplyShape
    private var itemKind = ItemKind.other
    private var searchIsBillable = true
    /// Digits behind the point of a number, and whether there is a point.
    private var fraction: (digits: Int, isOpen: Bool) = (0, false)

    private enum ItemKind { case other, webSearch, fileSearch }

    init(shape: ReplyShape) { self.shape = shape }

    var isComplete: Bool { self.state == .complete }

    /// `tool_usage` counts what is billed; where it is missing, the calls are counted that the document shows.
    var calls: ToolCalls {
        var calls = ToolCalls()
        calls[.webSearch] = self.billableSearches ?? self.searchCalls
        calls[.fileSearch] = self.fileSearchCalls
        return calls
    }

    /// Forgets the document; keeps the model and the tier.
    mutating func begin() {
        self.report = nil
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
        self.searchCalls = 0
        self.fileSearchCalls = 0
        self.billableSearches = nil
        self.itemKind = .other
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
                if self.takeDigit(bytes[at]) { at &+= 1 }
            case .literal:
                self.takeLiteral(bytes[at])
                at &+= 1
            case .broken:
                return
            case .value, .valueOrEnd, .key, .keyOrEnd, .colon, .afterValue, .complete:
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
        self.report = nil
    }

    // MARK: Structure

    private mutating func takeStructure(_ byte: UInt8) {
        switch byte {
        case 0x20, 0x09, 0x0a, 0x0d:
            break
        case UInt8(ascii: "\""):
            self.beginString()
        case UInt8(ascii: ":"):
            self.state = self.state == .colon ? .value : .broken
        case UInt8(ascii: ","):
            guard self.state == .afterValue else { return self.breakOff() }
            self.slot = .none
            self.state = self.nesting.isInObject ? .key : .value
        case UInt8(ascii: "{"):
            self.open(isObject: true)
        case UInt8(ascii: "["):
            self.open(isObject: false)
        case UInt8(ascii: "}"):
            guard self.nesting.isInObject, self.state == .afterValue || self.state == .keyOrEnd else {
                return self.breakOff()
            }
            self.close()
        case UInt8(ascii: "]"):
            guard self.nesting.depth > 0, !self.nesting.isInObject,
                self.state == .afterValue || self.state == .valueOrEnd
            else { return self.breakOff() }
            self.close()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            guard self.beginValue(.number) else { return }
            self.numberIsBad = byte == UInt8(ascii: "-")
            self.fraction = (0, false)
            self.number = self.numberIsBad ? 0 : Int64(byte &- 0x30)
            self.state = .number
        case UInt8(ascii: "n"): self.beginLiteral("null", .null)
        case UInt8(ascii: "t"): self.beginLiteral("true", .bool)
        case UInt8(ascii: "f"): self.beginLiteral("false", .bool)
        default:
            self.breakOff()
        }
    }

    private mutating func breakOff() { self.state = .broken }

    private enum Kind { case string, number, bool, null, object, array }

    /// Looks at the kind of a value before its content; false when no value may stand here.
    private mutating func beginValue(_ kind: Kind) -> Bool {
        guard self.state == .value || self.state == .valueOrEnd else {
            self.breakOff()
            return false
        }
        if self.node == .choices { self.choices = (self.choices ?? 0) &+ 1 }
        switch self.slot {
        case .none:
            break
        case .usage, .inputDetails, .outputDetails, .cachedDetails, .writeDetails:
            // null is absent.
            if kind != .object && kind != .null { self.isUsageMalformed = true }
        case .input, .outputCount, .total, .cached, .cacheWrite, .cacheWrite30Minutes, .cacheWrite12Hours,
            .inputAudio, .inputImage, .inputText, .cachedAudio, .cachedImage, .reasoning, .outputAudio,
            .outputImage, .outputText, .seconds:
            if kind != .number && kind != .null { self.isUsageMalformed = true }
        case .error:
            if kind != .null { self.hasError = true }
        case .finishReason:
            if kind == .string { self.finishReasons &+= 1 }
        case .model, .tier, .choices, .delta, .visibleText, .visibleStructure, .type, .status, .identifier,
            .response, .items, .item, .itemType, .action, .actionType, .toolUsage, .searchUsage, .searches:
            break
        }
        return true
    }

    private mutating func open(isObject: Bool) {
        guard self.beginValue(isObject ? .object : .array) else { return }
        let node = ReplyNode(
            of: self.slot, in: self.node, isObject: isObject, isRoot: self.nesting.depth == 0,
            shape: self.shape)
        let depth = self.nesting.depth
        guard self.nesting.open(isObject: isObject) else { return self.breakOff() }
        if depth < 8 {
            let shift = UInt64(depth) << 3
            self.nodes = self.nodes & ~(0xff << shift) | UInt64(node.rawValue) << shift
        }
        self.node = depth < 8 ? node : .other
        self.slot = .none
        self.state = isObject ? .keyOrEnd : .valueOrEnd
        switch node {
        case .usage:
            self.usage = ReportedUsage()
            self.report = nil
            self.hasUsageObject = true
            self.isUsageMalformed = false
        case .choices: self.choices = 0
        case .choice: self.choiceIsVisible = false
        case .item: (self.itemKind, self.searchIsBillable) = (.other, true)
        default: break
        }
    }

    private mutating func close() {
        switch self.node {
        case .usage:
            self.report = self.isUsageMalformed ? nil : self.usage
        case .choice:
            if self.choiceIsVisible { self.visibleChoices &+= 1 }
            self.choiceIsVisible = false
        case .item:
            switch self.itemKind {
            case .webSearch: if self.searchIsBillable { self.searchCalls &+= 1 }
            case .fileSearch: self.fileSearchCalls &+= 1
            case .other: break
            }
        default: break
        }
        self.nesting.close()
        let depth = self.nesting.depth
        self.slot = .none
        if depth == 0 {
            self.node = .other
            self.state = .complete
        } else {
            let raw = depth <= 8 ? UInt8(truncatingIfNeeded: self.nodes >> (UInt64(depth &- 1) << 3)) : 0
            self.node = ReplyNode(rawValue: raw) ?? .other
            self.state = .afterValue
        }
    }

    private mutating func endScalar() { self.state = self.nesting.depth == 0 ? .complete : .afterValue }

    // MARK: Strings

    private mutating func beginString() {
        if self.state == .key || self.state == .keyOrEnd {
            self.stringIsKey = true
        } else {
            self.stringIsKey = false
            guard self.beginValue(.string) else { return }
        }
        self.textIsWhole = true
        self.state = .string
    }

    /// Takes the string up to the next byte that is not plain text, or to the end of the piece.
    private mutating func takeString(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        let stop = ByteSearch.stringStop(bytes, start)
        let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<stop])
        guard stop < bytes.count, bytes[stop] == UInt8(ascii: "\"") else {
            self.takeText(piece)
            guard stop < bytes.count else { return stop }
            if bytes[stop] == UInt8(ascii: "\\") {
                self.state = .escape
            } else {
                self.breakOff()
            }
            return stop &+ 1
        }
        if self.highSurrogate != 0 { self.takeReplacement() }
        if !self.textIsWhole {
            self.takeText(piece)
            self.endString(nil)
        } else {
            self.endString(piece)
        }
        return stop &+ 1
    }

    /// Part of a string; more follows.
    private mutating func takeText(_ piece: UnsafeRawBufferPointer) {
        if self.highSurrogate != 0, !piece.isEmpty { self.takeReplacement() }
        if self.textIsWhole { self.text.clear() }
        self.textIsWhole = false
        guard !piece.isEmpty else { return }
        if self.stringIsKey || self.slot.keepsText {
            self.text.append(piece)
        } else if self.slot == .visibleText {
            self.see(piece.count)
        }
    }

    /// The end of a string; `whole` when it came in one piece, otherwise it was taken already.
    private mutating func endString(_ whole: UnsafeRawBufferPointer?) {
        if self.stringIsKey {
            if let whole {
                self.slot = ReplySlot(key: whole, in: self.node, shape: self.shape)
            } else {
                let (node, shape) = (self.node, self.shape)
                self.slot = self.text.withBytes {
                    $0.map { ReplySlot(key: $0, in: node, shape: shape) } ?? .none
                }
            }
            self.state = .colon
            return
        }
        if self.slot == .visibleText {
            if let whole, !whole.isEmpty { self.see(whole.count) }
        } else if self.slot.keepsText {
            if let whole { self.text.set(whole) }
            self.keepText()
        }
        self.endScalar()
    }

    /// Output that the client sees.
    private mutating func see(_ bytes: Int) {
        if self.node == .root {
            self.deltaBytes &+= bytes
        } else {
            self.visibleBytes &+= bytes
            self.choiceIsVisible = true
        }
    }

    private mutating func keepText() {
        switch self.slot {
        case .model: self.model = self.text
        case .tier: self.serviceTier = self.text
        case .identifier: self.identifier = self.text
        case .type: self.type = self.text
        case .status: self.status = self.text
        case .itemType:
            self.itemKind =
                self.text.equals("web_search_call")
                ? .webSearch : self.text.equals("file_search_call") ? .fileSearch : .other
        case .actionType: self.searchIsBillable = self.text.equals("search")
        default: break
        }
    }

    // MARK: Escapes

    private mutating func takeEscape(_ byte: UInt8) {
        if self.state == .hexadecimal {
            guard let digit = Self.hexadecimal(byte) else { return self.breakOff() }
            self.escapedUnit = self.escapedUnit << 4 | digit
            self.hexDigitsLeft &-= 1
            if self.hexDigitsLeft == 0 {
                self.state = .string
                self.takeUnit(self.escapedUnit)
            }
            return
        }
        self.state = .string
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): self.takeUnit(UInt32(byte))
        case UInt8(ascii: "b"): self.takeUnit(0x08)
        case UInt8(ascii: "f"): self.takeUnit(0x0c)
        case UInt8(ascii: "n"): self.takeUnit(0x0a)
        case UInt8(ascii: "r"): self.takeUnit(0x0d)
        case UInt8(ascii: "t"): self.takeUnit(0x09)
        case UInt8(ascii: "u"):
            self.hexDigitsLeft = 4
            self.escapedUnit = 0
            self.state = .hexadecimal
        default:
            self.breakOff()
        }
    }

    /// A UTF-16 unit that an escape stood for.
    private mutating func takeUnit(_ unit: UInt32) {
        if 0xdc00...0xdfff ~= unit, self.highSurrogate != 0 {
            let scalar = 0x10000 + (self.highSurrogate - 0xd800) << 10 + (unit - 0xdc00)
            self.highSurrogate = 0
            self.takeScalar(Unicode.Scalar(scalar) ?? "\u{fffd}")
            return
        }
        if self.highSurrogate != 0 { self.takeReplacement() }
        if 0xd800...0xdbff ~= unit {
            self.highSurrogate = unit
        } else {
            self.takeScalar(Unicode.Scalar(unit) ?? "\u{fffd}")
        }
    }

    /// A half of a surrogate pair stood alone.
    private mutating func takeReplacement() {
        self.highSurrogate = 0
        self.takeScalar("\u{fffd}")
    }

    private mutating func takeScalar(_ scalar: Unicode.Scalar) {
        var bytes: (UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &bytes) { buffer in
            var count = 0
            for byte in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter {
                buffer[count] = byte
                count += 1
            }
            self.takeText(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
        }
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 0x30...0x39: UInt32(byte - 0x30)
        case 0x61...0x66: UInt32(byte - 0x57)
        case 0x41...0x46: UInt32(byte - 0x37)
        default: nil
        }
    }

    // MARK: Numbers and literals

    /// false: the byte belongs to what follows.
    private mutating func takeDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            if self.fraction.isOpen { self.fraction.digits &+= 1 }
            let (scaled, overflow) = self.number.multipliedReportingOverflow(by: 10)
            let (next, carry) = scaled.addingReportingOverflow(Int64(byte &- 0x30))
            self.numberIsBad = self.numberIsBad || overflow || carry
            self.number = overflow || carry ? 0 : next
            return true
        case UInt8(ascii: ".") where self.slot == .seconds && !self.fraction.isOpen:
            self.fraction.isOpen = true
            return true
        case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"):
            self.numberIsBad = true
            return true
        default:
            self.endNumber()
            self.endScalar()
            return false
        }
    }

    private mutating func endNumber() {
        guard self.slot.isCount || self.slot == .seconds else { return }
        guard !self.numberIsBad else {
            self.isUsageMalformed = true
            return
        }
        let number = self.number
        switch self.slot {
        case .input: self.usage.inputTokens = number
        case .outputCount: self.usage.outputTokens = number
        case .total: self.usage.totalTokens = number
        case .cached: self.usage.cachedTokens = number
        case .cacheWrite: self.usage.cacheWriteTokens = number
        case .cacheWrite30Minutes: self.usage.cacheWrite30MinuteTokens = number
        case .cacheWrite12Hours: self.usage.cacheWrite12HourTokens = number
        case .inputAudio: self.usage.inputAudioTokens = number
        case .inputImage: self.usage.inputImageTokens = number
        case .inputText: self.usage.inputTextTokens = number
        case .cachedAudio: self.usage.cachedAudioTokens = number
        case .cachedImage: self.usage.cachedImageTokens = number
        case .reasoning: self.usage.reasoningTokens = number
        case .outputAudio: self.usage.outputAudioTokens = number
        case .outputImage: self.usage.outputImageTokens = number
        case .outputText: self.usage.outputTextTokens = number
        case .searches: self.billableSearches = number
        case .seconds: self.takeSeconds(number)
        default: break
        }
    }

    /// Seconds to milliseconds, up: a fraction of a millisecond is charged as one.
    private mutating func takeSeconds(_ digits: Int64) {
        var (value, missing) = (Int128(digits), 3 - self.fraction.digits)
        var isExact = true
        while missing > 0 {
            value *= 10
            missing -= 1
        }
        while missing < 0 {
            isExact = isExact && value % 10 == 0
            value /= 10
            missing += 1
        }
        self.usage.milliseconds = Int64(exactly: value + (isExact ? 0 : 1)) ?? .max
    }

    private mutating func beginLiteral(_ literal: StaticString, _ kind: Kind) {
        guard self.beginValue(kind) else { return }
        self.literal = literal
        self.literalMatched = 1
        self.state = .literal
    }

    private mutating func takeLiteral(_ byte: UInt8) {
        guard byte == self.literal.utf8Start[self.literalMatched] else { return self.breakOff() }
        self.literalMatched &+= 1
        if self.literalMatched == self.literal.utf8CodeUnitCount { self.endScalar() }
    }
}

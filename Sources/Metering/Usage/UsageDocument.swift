/// Reads what metering needs out of one JSON document that comes in pieces: a chunk of a stream, or a whole reply.
///
/// An incremental tokenizer with a bounded path, not a parser: O(1) memory, any split, and text inside strings can
/// never pass for structure.
struct UsageDocument: Sendable {
    private(set) var report: ReportedUsage?
    /// There was a usage object, or another value in its place, that could not be read.
    private(set) var isUsageMalformed = false
    private(set) var model: String?
    private(set) var serviceTier: String?
    /// `choices` is an array without elements.
    private(set) var hasEmptyChoices = false
    private(set) var hasError = false
    /// Choices with visible output in this document.
    private(set) var visibleChoices = 0
    private(set) var visibleBytes = 0
    private(set) var finishReasons = 0

    /// What a container is to metering.
    private enum Node: UInt8 {
        case other, root, usage, inputDetails, outputDetails, choices, choice, delta, output
    }

    /// What the next value is to metering.
    private enum Slot {
        case none, model, tier, usage, choices, error
        case prompt, completion, total, inputDetails, outputDetails
        case cached, cacheWrite, inputAudio, reasoning, outputAudio
        case delta, visibleText, visibleStructure, finishReason
    }

    private enum State {
        case value, afterValue
        case string(isKey: Bool)
        case escape(isKey: Bool)
        case number, literal
        case broken
    }

    private static let keptDepth = 8
    private static let textBytesMax = 128

    private var state: State = .value
    private var depth = 0
    private var nodes: (Node, Node, Node, Node, Node, Node, Node, Node) = (
        .other, .other, .other, .other, .other, .other, .other, .other
    )
    private var objects: UInt64 = 0
    /// In an object, where a key is due.
    private var wantsKey = false
    private var slot: Slot = .none
    private var text = ShortText()
    private var number: Int64 = 0
    private var numberIsBad = false
    private var usage = ReportedUsage()
    private var isInUsage = false
    private var choiceIsVisible = false
    private var hasElements = false
    private var isComplete = false

    init() {}

    /// The document was one complete JSON value.
    var isWhole: Bool { self.isComplete }

    // MARK: Bytes

    mutating func feed(_ bytes: UnsafeRawBufferPointer) {
        var at = 0
        while at < bytes.count {
            switch self.state {
            case .string(let isKey):
                at = self.takeString(bytes, at, isKey)
            case .escape(let isKey):
                self.takeText(UInt8(ascii: "?"), isKey)
                self.state = .string(isKey: isKey)
                at += 1
            case .number:
                if self.takeDigit(bytes[at]) { at += 1 }
            case .literal:
                if bytes[at] >= UInt8(ascii: "a"), bytes[at] <= UInt8(ascii: "z") {
                    at += 1
                } else {
                    self.state = .afterValue
                }
            case .value, .afterValue:
                self.takeStructure(bytes[at])
                at += 1
            case .broken:
                return
            }
        }
    }

    /// No more bytes come: a number at the very end is complete now, and a half document is known as one.
    mutating func finish() {
        if self.isInUsage && !self.isComplete { self.isUsageMalformed = true }
        if !self.isComplete { self.report = nil }
    }

    private mutating func takeStructure(_ byte: UInt8) {
        switch byte {
        case 0x20, 0x09, 0x0a, 0x0d:
            break
        case UInt8(ascii: "\""):
            self.beginString()
        case UInt8(ascii: "{"):
            self.open(isObject: true)
        case UInt8(ascii: "["):
            self.open(isObject: false)
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            self.close()
        case UInt8(ascii: ","):
            self.wantsKey = self.isObject
            self.slot = self.isObject ? .none : self.slot
            self.state = .value
        case UInt8(ascii: ":"):
            self.state = .value
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            self.number = 0
            self.numberIsBad = byte == UInt8(ascii: "-")
            if byte != UInt8(ascii: "-") { self.number = Int64(byte - 0x30) }
            self.element()
            self.state = .number
        case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"):
            self.takeLiteral(isNull: byte == UInt8(ascii: "n"))
            self.element()
            self.state = .literal
        default:
            self.breakOff()
        }
    }

    private mutating func breakOff() {
        self.state = .broken
        self.isComplete = false
    }

    // MARK: Containers

    private var isObject: Bool { self.depth > 0 && self.objects & (1 << UInt64(min(self.depth - 1, 63))) != 0 }

    private func node(_ depth: Int) -> Node {
        switch depth {
        case 0: self.nodes.0
        case 1: self.nodes.1
        case 2: self.nodes.2
        case 3: self.nodes.3
        case 4: self.nodes.4
        case 5: self.nodes.5
        case 6: self.nodes.6
        case 7: self.nodes.7
        default: .other
        }
    }

    private mutating func setNode(_ depth: Int, _ node: Node) {
        switch depth {
        case 0: self.nodes.0 = node
        case 1: self.nodes.1 = node
        case 2: self.nodes.2 = node
        case 3: self.nodes.3 = node
        case 4: self.nodes.4 = node
        case 5: self.nodes.5 = node
        case 6: self.nodes.6 = node
        case 7: self.nodes.7 = node
        default: break
        }
    }

    private var current: Node { self.depth == 0 ? .other : self.node(self.depth - 1) }

    private mutating func open(isObject: Bool) {
        guard self.depth < 512 else { return self.breakOff() }
        self.element()
        let node = self.nodeOfNext(isObject: isObject)
        if self.depth < 64 {
            let bit = UInt64(1) << UInt64(self.depth)
            self.objects = isObject ? self.objects | bit : self.objects & ~bit
        }
        self.setNode(self.depth, node)
        self.depth += 1
        self.slot = node == .output ? .visibleText : .none
        self.wantsKey = isObject
        self.state = .value
    }

    private mutating func nodeOfNext(isObject: Bool) -> Node {
        if self.depth == 0 { return isObject ? .root : .other }
        switch (self.slot, self.current) {
        case (.usage, _):
            guard isObject else {
                self.isUsageMalformed = true
                return .other
            }
            self.usage = ReportedUsage()
            self.isInUsage = true
            self.isUsageMalformed = false
            return .usage
        case (.inputDetails, _): return isObject ? .inputDetails : .other
        case (.outputDetails, _): return isObject ? .outputDetails : .other
        case (.choices, _) where !isObject:
            self.hasElements = false
            return .choices
        case (_, .choices) where isObject:
            self.choiceIsVisible = false
            return .choice
        case (.delta, _) where isObject: return .delta
        case (.error, _):
            self.hasError = true
            return .other
        case (.visibleText, _), (.visibleStructure, _), (_, .output): return .output
        case (.prompt, _), (.completion, _), (.total, _), (.cached, _), (.cacheWrite, _), (.inputAudio, _),
            (.reasoning, _), (.outputAudio, _):
            self.isUsageMalformed = true
            return .other
        default: return .other
        }
    }

    private mutating func close() {
        guard self.depth > 0 else { return self.breakOff() }
        let node = self.current
        self.depth -= 1
        switch node {
        case .usage:
            self.isInUsage = false
            self.report = self.isUsageMalformed ? nil : self.usage
        case .choices: self.hasEmptyChoices = !self.hasElements
        case .choice: if self.choiceIsVisible { self.visibleChoices += 1 }
        default: break
        }
        self.slot = self.current == .output ? .visibleText : .none
        self.wantsKey = false
        self.state = .afterValue
        if self.depth == 0 { self.isComplete = true }
    }

    /// A value begins; in `choices` it makes the array non-empty, behind the end it breaks the document.
    private mutating func element() {
        if self.depth == 0 && self.isComplete { return self.breakOff() }
        if self.current == .choices { self.hasElements = true }
    }

    // MARK: Strings

    private mutating func beginString() {
        let isKey = self.isObject && self.wantsKey
        self.wantsKey = false
        self.text.clear()
        if !isKey {
            self.element()
            switch self.slot {
            case .prompt, .completion, .total, .cached, .cacheWrite, .inputAudio, .reasoning, .outputAudio, .usage:
                self.isUsageMalformed = true
            case .error: self.hasError = true
            case .finishReason: self.finishReasons += 1
            default: break
            }
        }
        if case .broken = self.state { return }
        self.state = .string(isKey: isKey)
    }

    private mutating func takeString(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ isKey: Bool) -> Int {
        var at = start
        while at < bytes.count, bytes[at] != UInt8(ascii: "\""), bytes[at] != UInt8(ascii: "\\") { at += 1 }
        self.takeText(UnsafeRawBufferPointer(rebasing: bytes[start..<at]), isKey)
        guard at < bytes.count else { return at }
        if bytes[at] == UInt8(ascii: "\\") {
            self.state = .escape(isKey: isKey)
        } else if isKey {
            self.slot = self.slotOfKey()
            self.state = .afterValue
        } else {
            self.endString()
            self.state = .afterValue
        }
        return at + 1
    }

    private mutating func takeText(_ bytes: UnsafeRawBufferPointer, _ isKey: Bool) {
        if isKey || self.slot == .model || self.slot == .tier {
            self.text.append(bytes)
        } else if self.slot == .visibleText, !bytes.isEmpty {
            self.visibleBytes += bytes.count
            self.choiceIsVisible = true
        }
    }

    private mutating func takeText(_ byte: UInt8, _ isKey: Bool) {
        withUnsafeBytes(of: byte) { self.takeText($0, isKey) }
    }

    private mutating func endString() {
        switch self.slot {
        case .model: self.model = self.text.string
        case .tier: self.serviceTier = self.text.string
        default: break
        }
    }

    private mutating func slotOfKey() -> Slot {
        switch self.current {
        case .root:
            if self.text == "usage" { return .usage }
            if self.text == "choices" { return .choices }
            if self.text == "model" { return .model }
            if self.text == "service_tier" { return .tier }
            return self.text == "error" ? .error : .none
        case .usage:
            if self.text == "prompt_tokens" { return .prompt }
            if self.text == "completion_tokens" { return .completion }
            if self.text == "total_tokens" { return .total }
            if self.text == "prompt_tokens_details" { return .inputDetails }
            return self.text == "completion_tokens_details" ? .outputDetails : .none
        case .inputDetails:
            if self.text == "cached_tokens" { return .cached }
            if self.text == "cache_write_tokens" { return .cacheWrite }
            return self.text == "audio_tokens" ? .inputAudio : .none
        case .outputDetails:
            if self.text == "reasoning_tokens" { return .reasoning }
            return self.text == "audio_tokens" ? .outputAudio : .none
        case .choice:
            if self.text == "delta" || self.text == "message" { return .delta }
            return self.text == "finish_reason" ? .finishReason : .none
        case .delta:
            if self.text == "content" || self.text == "refusal" || self.text == "reasoning_content" {
                return .visibleText
            }
            return self.text == "tool_calls" || self.text == "function_call" ? .visibleStructure : .none
        case .output:
            // Of structured output the text counts; names of types and ids do too, being few.
            return .visibleText
        case .choices, .other:
            return .none
        }
    }

    // MARK: Numbers and literals

    /// false: the byte belongs to what follows.
    private mutating func takeDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            let (scaled, overflow) = self.number.multipliedReportingOverflow(by: 10)
            let (next, carry) = scaled.addingReportingOverflow(Int64(byte - 0x30))
            self.numberIsBad = self.numberIsBad || overflow || carry
            self.number = overflow || carry ? 0 : next
            return true
        case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"):
            self.numberIsBad = true
            return true
        default:
            self.endNumber()
            self.state = .afterValue
            return false
        }
    }

    private mutating func endNumber() {
        let value: Int64? = self.numberIsBad ? nil : self.number
        switch self.slot {
        case .prompt: self.usage.promptTokens = self.believed(value)
        case .completion: self.usage.completionTokens = self.believed(value)
        case .total: self.usage.totalTokens = self.believed(value)
        case .cached: self.usage.cachedTokens = self.believed(value)
        case .cacheWrite: self.usage.cacheWriteTokens = self.believed(value)
        case .reasoning: self.usage.reasoningTokens = self.believed(value)
        case .inputAudio, .outputAudio:
            let (sum, overflow) = (self.usage.audioTokens ?? 0).addingReportingOverflow(self.believed(value) ?? 0)
            self.usage.audioTokens = overflow ? .max : sum
        case .usage: self.isUsageMalformed = true
        default: break
        }
    }

    private mutating func believed(_ value: Int64?) -> Int64? {
        if value == nil { self.isUsageMalformed = true }
        return value
    }

    private mutating func takeLiteral(isNull: Bool) {
        switch self.slot {
        case .usage, .prompt, .completion, .total, .cached, .cacheWrite, .inputAudio, .reasoning, .outputAudio,
            .inputDetails, .outputDetails:
            // null is absent; true and false are not counts.
            if !isNull { self.isUsageMalformed = true }
        default: break
        }
    }
}

/// The first bytes of a string, compared and kept without a heap allocation until it is wanted.
private struct ShortText: Sendable {
    private var bytes: InlineArray<128, UInt8> = .init(repeating: 0)
    private var count = 0
    private var isTooLong = false

    mutating func clear() {
        self.count = 0
        self.isTooLong = false
    }

    mutating func append(_ more: UnsafeRawBufferPointer) {
        guard self.count + more.count <= 128 else {
            self.isTooLong = true
            return
        }
        for byte in more {
            self.bytes[self.count] = byte
            self.count += 1
        }
    }

    static func == (text: ShortText, wanted: StaticString) -> Bool {
        guard !text.isTooLong, text.count == wanted.utf8CodeUnitCount else { return false }
        for index in 0..<text.count where text.bytes[index] != wanted.utf8Start[index] { return false }
        return true
    }

    /// nil when it was too long to be kept.
    var string: String? {
        guard !self.isTooLong else { return nil }
        return String(decoding: (0..<self.count).map { self.bytes[$0] }, as: UTF8.self)
    }
}

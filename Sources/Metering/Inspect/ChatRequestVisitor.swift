/// Gathers a `ChatRequest` from a walk over the body, and refuses what cannot be metered where it stands.
struct ChatRequestVisitor: JSONVisitor {
    private static let modelBytesMax = 256
    private static let choicesMax: Int64 = 128

    private let body: UnsafeRawBufferPointer
    private var request = ChatRequest()
    private var scopes = ChatRequestScopes()
    /// What the next value is.
    private var slot: ChatRequestSlot = .none
    private var lastKey: (range: Range<Int>, escaped: Bool)?
    private var maxTokens: Int64?
    private var maxCompletionTokens: Int64?
    private var messageCount = 0
    private var sawMessages = false

    init(_ body: UnsafeRawBufferPointer) { self.body = body }

    // MARK: The end

    mutating func finish() throws(RequestRejection) -> ChatRequest {
        guard !self.request.model.isEmpty else { throw .missing("model") }
        guard self.sawMessages else { throw .missing("messages") }
        guard self.messageCount > 0 else { throw .invalid("messages", "'messages' must not be empty.") }
        if let one = self.maxTokens, let other = self.maxCompletionTokens {
            self.request.outputCap = max(one, other)
        } else {
            self.request.outputCap = self.maxCompletionTokens ?? self.maxTokens
        }
        return self.request
    }

    func rejection(for fault: JSONFault) -> RequestRejection {
        var message = "The body is not valid JSON: \(fault.reason.rawValue) at byte \(fault.offset)."
        var param: String?
        if fault.reason == .duplicateKey, let key = self.lastKey, self.scopes.current == .top {
            // A name that metering knows may be told; any other is the client's content.
            let known = self.slot(key.range, escaped: key.escaped)
            if known != .none {
                param = known.name
                message = "The body names '\(known.name)' twice."
            }
        }
        return RequestRejection(code: .invalidJSON, param: param, message: message)
    }

    // MARK: Members

    mutating func key(_ range: Range<Int>, escaped: Bool) {
        self.lastKey = (range, escaped)
        switch self.scopes.current {
        case .other:
            // The property names of a tool's schema are part of the prompt.
            self.request.textBytes += range.count
        case .media, .document, .messages, .content, .modalities:
            break
        case .top, .streamOptions, .message, .part, .cacheOptions:
            self.slot = self.slot(range, escaped: escaped)
        }
    }

    private func slot(_ range: Range<Int>, escaped: Bool) -> ChatRequestSlot {
        guard escaped else { return .named(self.body, range, in: self.scopes.current) }
        var name = JSONText.unescape(self.body, range)
        return name.withUTF8 {
            .named(UnsafeRawBufferPointer($0), 0..<$0.count, in: self.scopes.current)
        }
    }

    private mutating func takeSlot() -> ChatRequestSlot {
        let slot = self.slot
        self.slot = .none
        return slot
    }

    // MARK: Scalars

    mutating func string(_ range: Range<Int>, escaped: Bool) throws(RequestRejection) {
        let scope = self.scopes.current
        switch self.takeSlot() {
        case .none:
            try self.takePlain("a string")
            if scope != .media, scope != .top { self.request.textBytes += range.count }
            if scope == .modalities, JSONText.text(self.body, range, escaped: escaped) != "text" {
                throw .notMetered(.modalities)
            }
        case .content:
            self.request.textBytes += range.count
        case .media:
            // Not the documented shape; whatever upstream makes of it, its bytes do not bound it.
            self.request.unboundedInput = true
        case .model:
            guard !range.isEmpty, range.count <= Self.modelBytesMax else {
                throw .invalid("model", "'model' must be a string of 1 to \(Self.modelBytesMax) bytes.")
            }
            self.request.model = JSONText.text(self.body, range, escaped: escaped)
        case .serviceTier:
            try self.takeTier(range, JSONText.text(self.body, range, escaped: escaped))
        case .partType:
            try self.takePartType(JSONText.text(self.body, range, escaped: escaped))
        case .cacheTTL:
            // Longer-lived cache writes have a price of their own.
            guard JSONText.text(self.body, range, escaped: escaped) == "30m" else {
                throw .notMetered(.cacheTTL)
            }
        case let slot:
            throw .refused(slot, "a string")
        }
    }

    mutating func number(_ range: Range<Int>) throws(RequestRejection) {
        switch self.takeSlot() {
        case .none: try self.takePlain("a number")
        case .maxTokens: self.maxTokens = try self.positive(range, .maxTokens, max: .max)
        case .maxCompletionTokens:
            self.maxCompletionTokens = try self.positive(range, .maxCompletionTokens, max: .max)
        case .choices: self.request.choices = try self.positive(range, .choices, max: Self.choicesMax)
        case let slot: throw .refused(slot, "a number")
        }
    }

    mutating func bool(_ value: Bool, at offset: Int) throws(RequestRejection) {
        switch self.takeSlot() {
        case .none: try self.takePlain("a boolean")
        case .stream: self.request.stream = value
        case .includeUsage:
            self.request.includeUsage = value
            self.request.anchors.streamOptions = .includeUsage(offset..<offset + (value ? 4 : 5))
        case .cachePrewarm:
            if value { throw .notMetered(.cachePrewarm) }
        case let slot: throw .refused(slot, "a boolean")
        }
    }

    /// null is absent, where absence is allowed.
    mutating func null(at offset: Int) throws(RequestRejection) {
        let range = offset..<offset + 4
        switch self.takeSlot() {
        case .none: try self.takePlain("null")
        case .model: throw .missing("model")
        case .messages: throw .missing("messages")
        case .streamOptions: self.request.anchors.streamOptions = .null(range)
        case .includeUsage: self.request.anchors.streamOptions = .includeUsage(range)
        case .serviceTier: self.request.anchors.tier = range
        case .maxCompletionTokens: self.request.anchors.nullCap = range
        default: break
        }
    }

    /// A scalar that is no member metering reads: wrong only as the whole body, or as a message.
    @inline(__always)
    private func takePlain(_ got: String) throws(RequestRejection) {
        switch self.scopes.current {
        case .document: throw .notAnObject
        case .messages: throw .wrongType(.messages, "an array of objects", "\(got) in it")
        default: break
        }
    }

    // MARK: Containers

    mutating func beginObject(at offset: Int) throws(RequestRejection) {
        switch self.takeSlot() {
        case .none:
            switch self.scopes.current {
            case .document:
                self.request.anchors.objectStart = offset + 1
                self.scopes.push(.top)
            case .messages:
                self.messageCount += 1
                self.scopes.push(.message)
            case .content: self.scopes.push(.part)
            default: self.scopes.push(.other)
            }
        case .streamOptions:
            self.request.anchors.streamOptions = .object(start: offset + 1, hasMembers: false)
            self.scopes.push(.streamOptions)
        case .cacheOptions:
            self.scopes.push(.cacheOptions)
        case .media:
            self.request.unboundedInput = true
            self.scopes.push(.media)
        case let slot:
            throw .refused(slot, "an object")
        }
    }

    mutating func beginArray(at offset: Int) throws(RequestRejection) {
        switch self.takeSlot() {
        case .none:
            try self.takePlain("an array")
            self.scopes.push(.other)
        case .messages:
            self.sawMessages = true
            self.scopes.push(.messages)
        case .modalities: self.scopes.push(.modalities)
        case .content: self.scopes.push(.content)
        case .media:
            self.request.unboundedInput = true
            self.scopes.push(.media)
        case let slot: throw .refused(slot, "an array")
        }
    }

    mutating func endContainer(at offset: Int) throws(RequestRejection) {
        guard self.scopes.pop() == .streamOptions, let key = self.lastKey,
            case .object(let start, _) = self.request.anchors.streamOptions
        else { return }
        // The last key stands inside the object exactly when the object has a member.
        self.request.anchors.streamOptions = .object(start: start, hasMembers: key.range.lowerBound > start)
    }

    // MARK: Single fields

    private func positive(
        _ range: Range<Int>, _ slot: ChatRequestSlot, max: Int64
    ) throws(RequestRejection) -> Int64 {
        var value: Int64 = 0
        for index in range {
            let digit = self.body[index] &- 0x30
            guard digit <= 9 else { throw .invalid(slot.name, "'\(slot.name)' must be a positive integer.") }
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (next, carry) = scaled.addingReportingOverflow(Int64(digit))
            guard !overflow, !carry else { throw .invalid(slot.name, "'\(slot.name)' is too large.") }
            value = next
        }
        guard value >= 1 else { throw .invalid(slot.name, "'\(slot.name)' must be a positive integer.") }
        guard value <= max else { throw .invalid(slot.name, "'\(slot.name)' must be at most \(max).") }
        return value
    }

    private mutating func takeTier(_ range: Range<Int>, _ literal: String) throws(RequestRejection) {
        if literal == "auto" {
            self.request.serviceTier = .auto
            self.request.anchors.tier = range.lowerBound - 1..<range.upperBound + 1
        } else if let tier = ServiceTier(apiLiteral: literal) {
            self.request.serviceTier = .named(tier)
        } else {
            throw .invalid("service_tier", "'service_tier' must be one of auto, default, flex, priority.")
        }
    }

    private mutating func takePartType(_ type: String) throws(RequestRejection) {
        switch type {
        case "text", "refusal": break
        case "image_url", "file": self.request.unboundedInput = true
        default:
            throw .invalid("messages", "A part of 'messages' has a content type that cannot be metered yet.")
        }
    }
}

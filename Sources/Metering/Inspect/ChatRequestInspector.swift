/// Why a request body is refused: 400, with the field's name and nothing of its content.
public struct RequestRejection: Error, Sendable, Equatable {
    public enum Code: Sendable, Equatable {
        /// Not a JSON document that can be read in one way only.
        case invalidJSON
        /// A document that cannot be metered.
        case invalidRequest
    }

    public var code: Code
    public var param: String?
    public var message: String
}

/// One pass over the body of a chat completion (DESIGN §3.3). What cannot be metered is refused, never guessed.
public enum ChatRequestInspector {
    public static func inspect(_ body: UnsafeRawBufferPointer) -> Result<ChatRequest, RequestRejection> {
        var walker = JSONWalker(body)
        var visitor = ChatRequestVisitor(body)
        do throws(JSONWalker.Ending<RequestRejection>) {
            try walker.walk(&visitor)
        } catch {
            switch error {
            case .rejected(let rejection): return .failure(rejection)
            case .fault(let fault): return .failure(visitor.rejection(for: fault))
            }
        }
        do throws(RequestRejection) {
            return .success(try visitor.finish())
        } catch {
            return .failure(error)
        }
    }
}

/// Where in the document the walk is, as far as metering cares.
private enum Scope {
    case top, streamOptions, messages, message, content, part, modalities, cacheOptions
    /// Below an image, file or audio: its strings are not text.
    case media
    case other
}

/// Members that metering reads, by the scope they stand in.
private enum Slot {
    case none
    case model, messages, stream, streamOptions, includeUsage, maxTokens, maxCompletionTokens, choices, serviceTier
    case modalities, audio, webSearch, prediction, cacheOptions, cacheTTL, cachePrewarm
    case content, partType, media

    /// As errors name it.
    var name: String {
        switch self {
        case .none: ""
        case .model: "model"
        case .messages: "messages"
        case .stream: "stream"
        case .streamOptions: "stream_options"
        case .includeUsage: "stream_options.include_usage"
        case .maxTokens: "max_tokens"
        case .maxCompletionTokens: "max_completion_tokens"
        case .choices: "n"
        case .serviceTier: "service_tier"
        case .modalities: "modalities"
        case .audio: "audio"
        case .webSearch: "web_search_options"
        case .prediction: "prediction"
        case .cacheOptions: "prompt_cache_options"
        case .cacheTTL: "prompt_cache_options.ttl"
        case .cachePrewarm: "prompt_cache_options.prewarm"
        case .content: "messages.content"
        case .partType: "messages.content.type"
        case .media: "messages.content"
        }
    }
}

private struct ChatRequestVisitor: JSONVisitor {
    private static let modelBytesMax = 256
    private static let choicesMax: Int64 = 128

    private let body: UnsafeRawBufferPointer
    private var request = ChatRequest()
    private var scopes: [Scope] = []
    private var slot: Slot = .none
    private var lastKey: (range: Range<Int>, escaped: Bool)?
    private var maxTokens: Int64?
    private var maxCompletionTokens: Int64?
    private var messageCount = 0
    private var sawMessages = false

    init(_ body: UnsafeRawBufferPointer) {
        self.body = body
        self.scopes.reserveCapacity(16)
    }

    // MARK: The end

    mutating func finish() throws(RequestRejection) -> ChatRequest {
        guard !self.request.model.isEmpty else { throw self.missing("model") }
        guard self.sawMessages else { throw self.missing("messages") }
        guard self.messageCount > 0 else {
            throw self.invalid("messages", "'messages' must not be empty.")
        }
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
        if fault.reason == .duplicateKey, let key = self.lastKey, self.scopes.last == .top {
            // A name that metering knows may be told; any other is the client's content.
            let known = Self.slot(JSONText.text(self.body, key.range, escaped: key.escaped), in: .top)
            if known != .none {
                param = known.name
                message = "The body names '\(known.name)' twice."
            }
        }
        return RequestRejection(code: .invalidJSON, param: param, message: message)
    }

    private func missing(_ name: String) -> RequestRejection {
        self.invalid(name, "Missing required parameter: '\(name)'.")
    }

    private func invalid(_ name: String, _ message: String) -> RequestRejection {
        RequestRejection(code: .invalidRequest, param: name, message: message)
    }

    private func wrongType(_ slot: Slot, _ expected: String, _ got: String) -> RequestRejection {
        self.invalid(slot.name, "Invalid type for '\(slot.name)': expected \(expected), but got \(got) instead.")
    }

    private func notMetered(_ slot: Slot) -> RequestRejection {
        self.invalid(slot.name, "'\(slot.name)' cannot be metered by this gateway yet.")
    }

    // MARK: Keys

    mutating func key(_ range: Range<Int>, escaped: Bool) {
        self.lastKey = (range, escaped)
        guard let scope = self.scopes.last, scope != .other, scope != .media else {
            self.slot = .none
            return
        }
        self.slot =
            escaped
            ? Self.slot(JSONText.unescape(self.body, range), in: scope)
            : Self.slot(self.body, range, in: scope)
    }

    private static func slot(_ name: String, in scope: Scope) -> Slot {
        var name = name
        return name.withUTF8 { self.slot(UnsafeRawBufferPointer($0), 0..<$0.count, in: scope) }
    }

    private static func slot(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, in scope: Scope) -> Slot {
        func named(_ name: StaticString) -> Bool {
            guard range.count == name.utf8CodeUnitCount else { return false }
            for index in 0..<range.count where bytes[range.lowerBound + index] != name.utf8Start[index] {
                return false
            }
            return true
        }
        switch scope {
        case .top: return self.topSlot(range.count, named)
        case .streamOptions: return named("include_usage") ? .includeUsage : .none
        case .message: return named("content") ? .content : named("audio") ? .media : .none
        case .part:
            if named("type") { return .partType }
            return named("image_url") || named("file") || named("input_audio") ? .media : .none
        case .cacheOptions: return named("ttl") ? .cacheTTL : named("prewarm") ? .cachePrewarm : .none
        case .messages, .content, .modalities, .media, .other: return .none
        }
    }

    private static func topSlot(_ count: Int, _ named: (StaticString) -> Bool) -> Slot {
        switch count {
        case 1: return named("n") ? .choices : .none
        case 5: return named("model") ? .model : named("audio") ? .audio : .none
        case 6: return named("stream") ? .stream : .none
        case 8: return named("messages") ? .messages : .none
        case 10: return named("max_tokens") ? .maxTokens : named("modalities") ? .modalities
            : named("prediction") ? .prediction : .none
        case 12: return named("service_tier") ? .serviceTier : .none
        case 14: return named("stream_options") ? .streamOptions : .none
        case 18: return named("web_search_options") ? .webSearch : .none
        case 20: return named("prompt_cache_options") ? .cacheOptions : .none
        case 21: return named("max_completion_tokens") ? .maxCompletionTokens : .none
        default: return .none
        }
    }

    // MARK: Values

    private mutating func takeSlot() -> Slot {
        let slot = self.slot
        self.slot = .none
        return slot
    }

    mutating func string(_ range: Range<Int>, escaped: Bool) throws(RequestRejection) {
        let slot = self.takeSlot()
        let scope = self.scopes.last
        if scope != .media { self.request.textBytes += range.count }
        switch slot {
        case .model:
            guard !range.isEmpty, range.count <= Self.modelBytesMax else {
                throw self.invalid("model", "'model' must be a string of 1 to \(Self.modelBytesMax) bytes.")
            }
            self.request.model = JSONText.text(self.body, range, escaped: escaped)
        case .serviceTier:
            try self.takeTier(range, JSONText.text(self.body, range, escaped: escaped))
        case .partType:
            try self.takePartType(JSONText.text(self.body, range, escaped: escaped))
        case .cacheTTL:
            // Longer-lived cache writes have a price of their own.
            guard JSONText.text(self.body, range, escaped: escaped) == "30m" else { throw self.notMetered(slot) }
        case .none, .content, .media:
            if scope == nil { throw self.notAnObject() }
            if scope == .messages { throw self.wrongType(.messages, "an array of objects", "a string in it") }
            if scope == .modalities, JSONText.text(self.body, range, escaped: escaped) != "text" {
                throw self.notMetered(.modalities)
            }
        default:
            throw self.refuse(slot, "a string")
        }
    }

    mutating func number(_ range: Range<Int>) throws(RequestRejection) {
        let slot = self.takeSlot()
        switch slot {
        case .maxTokens: self.maxTokens = try self.positive(range, slot, max: Int64.max)
        case .maxCompletionTokens: self.maxCompletionTokens = try self.positive(range, slot, max: Int64.max)
        case .choices: self.request.choices = try self.positive(range, slot, max: Self.choicesMax)
        case .none:
            if self.scopes.isEmpty { throw self.notAnObject() }
            if self.scopes.last == .messages { throw self.wrongType(.messages, "an array of objects", "a number in it") }
        default:
            throw self.refuse(slot, "a number")
        }
    }

    mutating func bool(_ value: Bool, at offset: Int) throws(RequestRejection) {
        let slot = self.takeSlot()
        switch slot {
        case .stream: self.request.stream = value
        case .includeUsage:
            self.request.includeUsage = value
            self.request.anchors.streamOptions = .includeUsage(offset..<offset + (value ? 4 : 5))
        case .cachePrewarm:
            if value { throw self.notMetered(slot) }
        case .none:
            if self.scopes.isEmpty { throw self.notAnObject() }
            if self.scopes.last == .messages { throw self.wrongType(.messages, "an array of objects", "a boolean in it") }
        default:
            throw self.refuse(slot, "a boolean")
        }
    }

    mutating func null(at offset: Int) throws(RequestRejection) {
        let slot = self.takeSlot()
        switch slot {
        case .model, .messages:
            throw self.missing(slot.name)
        case .streamOptions:
            self.request.anchors.streamOptions = .null(offset..<offset + 4)
        case .includeUsage:
            self.request.anchors.streamOptions = .includeUsage(offset..<offset + 4)
        case .serviceTier:
            self.request.anchors.tier = offset..<offset + 4
        default:
            if self.scopes.isEmpty { throw self.notAnObject() }
            if self.scopes.last == .messages { throw self.wrongType(.messages, "an array of objects", "a null in it") }
        }
    }

    mutating func beginObject(at offset: Int) throws(RequestRejection) {
        let slot = self.takeSlot()
        guard let outer = self.scopes.last else {
            self.request.anchors.objectStart = offset + 1
            self.scopes.append(.top)
            return
        }
        switch slot {
        case .streamOptions:
            self.request.anchors.streamOptions = .object(start: offset + 1, hasMembers: false)
            self.scopes.append(.streamOptions)
        case .cacheOptions:
            self.scopes.append(.cacheOptions)
        case .media:
            self.request.unboundedInput = true
            self.scopes.append(.media)
        case .none:
            switch outer {
            case .messages:
                self.messageCount += 1
                self.scopes.append(.message)
            case .content: self.scopes.append(.part)
            case .media: self.scopes.append(.media)
            default: self.scopes.append(.other)
            }
        case .content:
            throw self.wrongType(slot, "a string or an array", "an object")
        default:
            throw self.refuse(slot, "an object")
        }
    }

    mutating func beginArray(at offset: Int) throws(RequestRejection) {
        let slot = self.takeSlot()
        guard let outer = self.scopes.last else { throw self.notAnObject() }
        switch slot {
        case .messages:
            self.sawMessages = true
            self.scopes.append(.messages)
        case .modalities: self.scopes.append(.modalities)
        case .content: self.scopes.append(.content)
        case .media: self.scopes.append(.media)
        case .none:
            if outer == .messages { throw self.wrongType(.messages, "an array of objects", "an array in it") }
            self.scopes.append(outer == .media ? .media : .other)
        default:
            throw self.refuse(slot, "an array")
        }
    }

    mutating func endContainer(at offset: Int) throws(RequestRejection) {
        guard self.scopes.popLast() == .streamOptions, let key = self.lastKey,
            case .object(let start, _) = self.request.anchors.streamOptions
        else { return }
        // The last key stands inside the object exactly when the object has a member.
        self.request.anchors.streamOptions = .object(start: start, hasMembers: key.range.lowerBound > start)
    }

    // MARK: Single fields

    private func notAnObject() -> RequestRejection {
        RequestRejection(
            code: .invalidRequest, param: nil, message: "The body must be a JSON object.")
    }

    private func refuse(_ slot: Slot, _ got: String) -> RequestRejection {
        switch slot {
        case .audio, .webSearch, .prediction, .cacheTTL, .cachePrewarm: return self.notMetered(slot)
        case .model, .serviceTier, .partType: return self.wrongType(slot, "a string", got)
        case .messages: return self.wrongType(slot, "an array of objects", got)
        case .modalities: return self.wrongType(slot, "an array of strings", got)
        case .stream, .includeUsage: return self.wrongType(slot, "a boolean", got)
        case .streamOptions, .cacheOptions: return self.wrongType(slot, "an object", got)
        case .maxTokens, .maxCompletionTokens, .choices: return self.wrongType(slot, "an integer", got)
        case .none, .content, .media: return self.wrongType(.content, "a string or an array", got)
        }
    }

    private func positive(_ range: Range<Int>, _ slot: Slot, max: Int64) throws(RequestRejection) -> Int64 {
        var value: Int64 = 0
        for index in range {
            let digit = self.body[index] &- 0x30
            guard digit <= 9 else {
                throw self.invalid(slot.name, "'\(slot.name)' must be a positive integer.")
            }
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (next, carry) = scaled.addingReportingOverflow(Int64(digit))
            guard !overflow, !carry else {
                throw self.invalid(slot.name, "'\(slot.name)' is too large.")
            }
            value = next
        }
        guard value >= 1 else { throw self.invalid(slot.name, "'\(slot.name)' must be a positive integer.") }
        guard value <= max else { throw self.invalid(slot.name, "'\(slot.name)' must be at most \(max).") }
        return value
    }

    private mutating func takeTier(_ range: Range<Int>, _ literal: String) throws(RequestRejection) {
        if literal == "auto" {
            self.request.serviceTier = .auto
            self.request.anchors.tier = range.lowerBound - 1..<range.upperBound + 1
        } else if let tier = ServiceTier(apiLiteral: literal) {
            self.request.serviceTier = .named(tier)
        } else {
            throw self.invalid("service_tier", "'service_tier' must be one of auto, default, flex, priority.")
        }
    }

    private mutating func takePartType(_ type: String) throws(RequestRejection) {
        switch type {
        case "text", "refusal": break
        case "image_url", "file": self.request.unboundedInput = true
        default:
            throw self.invalid("messages", "A part of 'messages' has a content type that cannot be metered yet.")
        }
    }
}

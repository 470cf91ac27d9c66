/// Whose words the keys of a reply are.
public enum ReplyShape: UInt8, Sendable, Hashable {
    /// `choices` and `usage` at the top: chat, legacy completions. Also embeddings, images and transcriptions, whose
    /// usage stands at the top as well.
    case completions
    /// A response object, or the events of a stream of one.
    case responses
    /// `usage` at the top, and events with a `type`: images, transcriptions, speech.
    case media
}

/// What a JSON container is to metering.
enum ReplyNode: UInt8, Sendable {
    case other
    /// The document; of a stream of responses the event.
    case root
    /// The response object, whole or in an event.
    case response
    case usage, inputDetails, outputDetails, cachedDetails, writeDetails
    case choices, choice, delta
    /// Output that has a structure: tool calls, a function call, content in parts.
    case output
    /// `output` of a response, and one item of it, and what a search call did.
    case items, item, action
    case toolUsage, searchUsage

    /// - Parameters:
    ///   - slot: the member that the container is the value of.
    ///   - outer: the container around it.
    @inline(__always)
    init(
        of slot: ReplySlot, in outer: ReplyNode, isObject: Bool, isRoot: Bool, shape: ReplyShape
    ) {
        self =
            switch slot {
            case .usage: isObject ? .usage : .other
            case .inputDetails: isObject ? .inputDetails : .other
            case .outputDetails: isObject ? .outputDetails : .other
            case .cachedDetails: isObject ? .cachedDetails : .other
            case .writeDetails: isObject ? .writeDetails : .other
            case .choices: isObject ? .other : .choices
            case .delta: isObject ? .delta : .other
            case .visibleText, .visibleStructure: .output
            case .response: isObject ? .response : .other
            case .items: isObject ? .other : .items
            case .item: isObject ? .item : .other
            case .action: isObject ? .action : .other
            case .toolUsage: isObject ? .toolUsage : .other
            case .searchUsage: isObject ? .searchUsage : .other
            default: Self.unnamed(in: outer, isObject: isObject, isRoot: isRoot, shape: shape)
            }
    }

    @inline(__always)
    private static func unnamed(
        in outer: ReplyNode, isObject: Bool, isRoot: Bool, shape: ReplyShape
    ) -> ReplyNode {
        if isRoot { return isObject ? .root : .other }
        switch outer {
        case .choices where isObject: return .choice
        case .items where isObject: return .item
        case .output: return .output
        default: return .other
        }
    }
}

/// What a JSON value is to metering.
enum ReplySlot: UInt8, Sendable {
    case none, model, tier, usage, choices, error
    case inputDetails, outputDetails, cachedDetails, writeDetails
    case delta, visibleText, visibleStructure, finishReason
    case type, status, identifier, response, items, item, itemType, action, actionType
    case toolUsage, searchUsage, searches, sequence
    /// `seconds`, which may have a fraction.
    case seconds
    // Whole counts from here on.
    case input, outputCount, total, cached, cacheWrite, cacheWrite30Minutes, cacheWrite12Hours
    case inputAudio, inputImage, inputText, cachedAudio, cachedImage
    case reasoning, outputAudio, outputImage, outputText

    @inline(__always)
    var isCount: Bool { self.rawValue >= Self.input.rawValue }

    /// Its string is kept.
    @inline(__always)
    var keepsText: Bool {
        switch self {
        case .model, .tier, .type, .status, .identifier, .itemType, .actionType: true
        default: false
        }
    }

    /// The member of `node` that has this key. The same word elsewhere in the document is another thing.
    @inline(__always)
    init(key: UnsafeRawBufferPointer, in node: ReplyNode, shape: ReplyShape) {
        self =
            switch node {
            case .root: shape == .completions ? Self.ofRoot(key) : Self.ofEvent(key, shape)
            case .response: Self.ofResponse(key)
            case .choice: Self.ofChoice(key)
            case .delta: Self.ofDelta(key)
            case .usage: Self.ofUsage(key)
            case .inputDetails: Self.ofInput(key)
            case .outputDetails: Self.ofOutputDetails(key)
            case .cachedDetails: Self.ofCached(key)
            case .writeDetails: Self.ofWritten(key)
            case .output: Self.ofOutput(key)
            case .item: Self.ofItem(key)
            case .action: Self.equal(key, "type") ? .actionType : .none
            case .toolUsage: Self.equal(key, "web_search") ? .searchUsage : .none
            case .searchUsage: Self.equal(key, "num_requests") ? .searches : .none
            case .choices, .items, .other: .none
            }
    }

    @inline(__always)
    private static func equal(_ key: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
        ByteSearch.equals(key, name)
    }

    private static func ofRoot(_ key: UnsafeRawBufferPointer) -> Self {
        switch key.count {
        case 5:
            equal(key, "model") ? .model : equal(key, "usage") ? .usage : equal(key, "error") ? .error : .none
        case 7: equal(key, "choices") ? .choices : .none
        case 12: equal(key, "service_tier") ? .tier : .none
        default: .none
        }
    }

    /// A stream of events, or the one object that a whole reply is.
    private static func ofEvent(_ key: UnsafeRawBufferPointer, _ shape: ReplyShape) -> Self {
        switch key.count {
        case 4:
            equal(key, "type") ? .type : shape == .responses && equal(key, "item") ? .item : ofResponse(key)
        // Text, or base64 of audio or of an image; which, says the type.
        case 5: equal(key, "delta") ? .visibleText : ofResponse(key)
        case 8: shape == .responses && equal(key, "response") ? .response : ofResponse(key)
        case 15: shape == .responses && equal(key, "sequence_number") ? .sequence : .none
        default: ofResponse(key)
        }
    }

    private static func ofResponse(_ key: UnsafeRawBufferPointer) -> Self {
        switch key.count {
        case 2: equal(key, "id") ? .identifier : .none
        case 5:
            equal(key, "model") ? .model : equal(key, "usage") ? .usage : equal(key, "error") ? .error : .none
        case 6: equal(key, "output") ? .items : equal(key, "status") ? .status : .none
        case 10: equal(key, "tool_usage") ? .toolUsage : .none
        case 12: equal(key, "service_tier") ? .tier : .none
        default: .none
        }
    }

    private static func ofItem(_ key: UnsafeRawBufferPointer) -> Self {
        switch key.count {
        case 4: equal(key, "type") ? .itemType : equal(key, "name") ? .visibleText : .none
        case 5: equal(key, "input") ? .visibleText : .none
        case 6: equal(key, "action") ? .action : .none
        case 7: equal(key, "content") || equal(key, "summary") ? .visibleStructure : .none
        case 9: equal(key, "arguments") ? .visibleText : .none
        default: .none
        }
    }

    private static func ofChoice(_ key: UnsafeRawBufferPointer) -> Self {
        switch key.count {
        // Legacy completions have their text here.
        case 4: equal(key, "text") ? .visibleText : .none
        case 5: equal(key, "delta") ? .delta : .none
        case 7: equal(key, "message") ? .delta : .none
        case 13: equal(key, "finish_reason") ? .finishReason : .none
        default: .none
        }
    }

    private static func ofDelta(_ key: UnsafeRawBufferPointer) -> Self {
        switch key.count {
        // What the model said: its transcript is text.
        case 5: equal(key, "audio") ? .visibleStructure : .none
        case 7: equal(key, "content") || equal(key, "refusal") ? .visibleText : .none
        case 10: equal(key, "tool_calls") ? .visibleStructure : .none
        case 13: equal(key, "function_call") ? .visibleStructure : .none
        case 17: equal(key, "reasoning_content") ? .visibleText : .none
        default: .none
        }
    }

    /// Of structured output the model wrote names, arguments and texts; ids and types are of the API's
    /// making.
    private static func ofOutput(_ key: UnsafeRawBufferPointer) -> Self {
        switch key.count {
        case 4: equal(key, "name") || equal(key, "text") ? .visibleText : .none
        case 5: equal(key, "input") ? .visibleText : .none
        case 7: equal(key, "refusal") ? .visibleText : .none
        case 9: equal(key, "arguments") ? .visibleText : .none
        case 10: equal(key, "transcript") ? .visibleText : .none
        default: .none
        }
    }

    // MARK: Usage

    private static func ofUsage(_ key: UnsafeRawBufferPointer) -> Self {
        switch key.count {
        case 7: equal(key, "seconds") ? .seconds : .none
        case 12: equal(key, "total_tokens") ? .total : equal(key, "input_tokens") ? .input : .none
        case 13: equal(key, "prompt_tokens") ? .input : equal(key, "output_tokens") ? .outputCount : .none
        case 17: equal(key, "completion_tokens") ? .outputCount : .none
        // Transcriptions say `token`, all others `tokens`.
        case 19: equal(key, "input_token_details") ? .inputDetails : .none
        case 20:
            equal(key, "input_tokens_details")
                ? .inputDetails : equal(key, "output_token_details") ? .outputDetails : .none
        case 21:
            equal(key, "prompt_tokens_details")
                ? .inputDetails : equal(key, "output_tokens_details") ? .outputDetails : .none
        case 25: equal(key, "completion_tokens_details") ? .outputDetails : .none
        default: .none
        }
    }

    private static func ofInput(_ key: UnsafeRawBufferPointer) -> Self {
        switch key.count {
        case 11: equal(key, "text_tokens") ? .inputText : .none
        case 12: equal(key, "audio_tokens") ? .inputAudio : equal(key, "image_tokens") ? .inputImage : .none
        case 13: equal(key, "cached_tokens") ? .cached : .none
        case 18: equal(key, "cache_write_tokens") ? .cacheWrite : .none
        case 21: equal(key, "cached_tokens_details") ? .cachedDetails : .none
        case 26: equal(key, "cache_write_tokens_details") ? .writeDetails : .none
        default: .none
        }
    }

    private static func ofOutputDetails(_ key: UnsafeRawBufferPointer) -> Self {
        switch key.count {
        case 11: equal(key, "text_tokens") ? .outputText : .none
        case 12: equal(key, "audio_tokens") ? .outputAudio : equal(key, "image_tokens") ? .outputImage : .none
        case 16: equal(key, "reasoning_tokens") ? .reasoning : .none
        default: .none
        }
    }

    private static func ofCached(_ key: UnsafeRawBufferPointer) -> Self {
        equal(key, "audio_tokens") ? .cachedAudio : equal(key, "image_tokens") ? .cachedImage : .none
    }

    private static func ofWritten(_ key: UnsafeRawBufferPointer) -> Self {
        equal(key, "ttl_30m_tokens")
            ? .cacheWrite30Minutes : equal(key, "ttl_12h_tokens") ? .cacheWrite12Hours : .none
    }
}

/// What a JSON container is to metering.
enum ChatUsageNode: UInt8, Sendable {
    case other, root, usage, inputDetails, outputDetails, choices, choice, delta
    /// Output that has a structure: tool calls, a function call, content in parts.
    case output

    /// - Parameters:
    ///   - slot: the member that the container is the value of.
    ///   - outer: the container around it.
    @inline(__always)
    init(of slot: ChatUsageSlot, in outer: ChatUsageNode, isObject: Bool, isRoot: Bool) {
        self =
            switch slot {
            case .usage: isObject ? .usage : .other
            case .inputDetails: isObject ? .inputDetails : .other
            case .outputDetails: isObject ? .outputDetails : .other
            case .choices: isObject ? .other : .choices
            case .delta: isObject ? .delta : .other
            case .visibleText, .visibleStructure: .output
            default:
                if isRoot {
                    isObject ? .root : .other
                } else {
                    outer == .choices && isObject ? .choice : outer == .output ? .output : .other
                }
            }
    }
}

/// What a JSON value is to metering.
enum ChatUsageSlot: UInt8, Sendable {
    case none, model, tier, usage, choices, error
    case inputDetails, outputDetails
    case delta, visibleText, visibleStructure, finishReason
    // Counts of tokens from here on.
    case prompt, completion, total, cached, cacheWrite, inputAudio, reasoning, outputAudio

    @inline(__always)
    var isCount: Bool { self.rawValue >= Self.prompt.rawValue }

    /// The member of `node` that has this key. The same word elsewhere in the document is another thing.
    @inline(__always)
    init(key: UnsafeRawBufferPointer, in node: ChatUsageNode) {
        self =
            switch node {
            case .root: Self.ofRoot(key)
            case .choice: Self.ofChoice(key)
            case .delta: Self.ofDelta(key)
            case .usage: Self.ofUsage(key)
            case .inputDetails:
                if Self.equal(key, "cached_tokens") {
                    .cached
                } else if Self.equal(key, "cache_write_tokens") {
                    .cacheWrite
                } else {
                    Self.equal(key, "audio_tokens") ? .inputAudio : .none
                }
            case .outputDetails:
                Self.equal(key, "reasoning_tokens")
                    ? .reasoning : Self.equal(key, "audio_tokens") ? .outputAudio : .none
            case .output: Self.ofOutput(key)
            case .choices, .other: .none
            }
    }

    @inline(__always)
    private static func equal(_ key: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
        key.count == name.utf8CodeUnitCount && ByteSearch.matches(key, 0, name)
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

    private static func ofChoice(_ key: UnsafeRawBufferPointer) -> Self {
        switch key.count {
        case 5: equal(key, "delta") ? .delta : .none
        case 7: equal(key, "message") ? .delta : .none
        case 13: equal(key, "finish_reason") ? .finishReason : .none
        default: .none
        }
    }

    private static func ofDelta(_ key: UnsafeRawBufferPointer) -> Self {
        switch key.count {
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
        default: .none
        }
    }

    private static func ofUsage(_ key: UnsafeRawBufferPointer) -> Self {
        switch key.count {
        case 12: equal(key, "total_tokens") ? .total : .none
        case 13: equal(key, "prompt_tokens") ? .prompt : .none
        case 17: equal(key, "completion_tokens") ? .completion : .none
        case 21: equal(key, "prompt_tokens_details") ? .inputDetails : .none
        case 25: equal(key, "completion_tokens_details") ? .outputDetails : .none
        default: .none
        }
    }
}

/// A key of an object, unescaped.
struct KeyName {
    let bytes: UnsafeRawBufferPointer
    let range: Range<Int>

    var count: Int { self.range.count }

    @inline(__always)
    func callAsFunction(_ name: StaticString) -> Bool {
        self.range.count == name.utf8CodeUnitCount
            && ByteSearch.matches(self.bytes, self.range.lowerBound, name)
    }
}

extension InspectSlot {
    /// The member called `name` in an object of `scope`.
    static func named(_ name: KeyName, in scope: InspectScope, of endpoint: InspectedEndpoint) -> Self {
        switch scope {
        case .top:
            switch self.top(name, endpoint) {
            case .none: HarmlessMembers.contains(name, of: endpoint) ? .none : .unknown
            case let slot: slot
            }
        case .reasoning: name("mode") ? .reasoningMode : .none
        case .moderation: name("model") ? .moderationModel : .none
        case .sound: name("data") ? .soundData : .none
        case .streamOptions: name("include_usage") ? .includeUsage : .none
        case .message:
            name("content")
                ? .content
                : name("audio") ? .earlierAudio : name("prompt_cache_breakpoint") ? .breakpoint : .none
        case .part: self.part(name)
        case .item: self.item(name)
        case .piece: self.piece(name)
        case .tool: self.tool(name)
        case .environment: name("type") ? .environmentType : .none
        case .file: name("file_id") ? .fileID : .none
        case .earlierAudio: name("id") ? .earlierAudioID : .none
        case .voice: name("voice") ? .voice : .none
        case .voiceID: name("id") ? .voiceID : .none
        case .template: name("id") ? .promptID : .none
        case .breakpoint: name("ttl") ? .breakpointTTL : .none
        case .cacheOptions: self.cacheOptions(name)
        case .document, .modalities, .messages, .content, .prediction, .items, .tools, .vectorStores,
            .prompts, .inputs,
            .tokens, .contextManagement, .media, .other:
            .none
        }
    }

    private static func cacheOptions(_ name: KeyName) -> Self {
        if name("ttl") { return .cacheTTL }
        if name("prewarm") { return .cachePrewarm }
        return name("comparison_response_id") ? .comparedResponse : .none
    }

    private static func part(_ name: KeyName) -> Self {
        switch name.count {
        case 4: name("type") ? .partType : name("file") ? .file : .none
        case 9: name("image_url") ? .image : .none
        case 11: name("input_audio") ? .inputAudio : .none
        case 23: name("prompt_cache_breakpoint") ? .breakpoint : .none
        default: .none
        }
    }

    private static func item(_ name: KeyName) -> Self {
        if name("type") { return .itemType }
        if name("role") { return .itemRole }
        if name("id") { return .itemID }
        if name("encrypted_content") { return .encryptedContent }
        return name("tools") ? .itemTools : self.piece(name)
    }

    private static func piece(_ name: KeyName) -> Self {
        switch name.count {
        case 4: name("type") ? .pieceType : .none
        case 7: name("file_id") ? .pieceFileID : .none
        case 8: name("file_url") ? .pieceMedia : .none
        case 9: name("image_url") || name("file_data") ? .pieceMedia : .none
        case 11: name("input_audio") ? .pieceAudio : .none
        case 23: name("prompt_cache_breakpoint") ? .breakpoint : .none
        default: .none
        }
    }

    private static func tool(_ name: KeyName) -> Self {
        if name("type") { return .toolType }
        if name("tools") { return .tools }
        if name("environment") { return .environment }
        if name("prompt_cache_breakpoint") { return .breakpoint }
        if name("require_approval") { return .requireApproval }
        return name("vector_store_ids") ? .vectorStores : .none
    }

    private static func top(_ name: KeyName, _ endpoint: InspectedEndpoint) -> Self {
        switch endpoint {
        case .chat: self.chat(name)
        case .responses: self.responses(name)
        case .completions: self.completions(name)
        case .embeddings, .moderations: name("input") ? .input : self.common(name)
        case .images: self.images(name)
        case .speech: self.speech(name)
        case .transcriptions, .translations: self.common(name)
        }
    }

    private static func common(_ name: KeyName) -> Self {
        name("model") ? .model : name("service_tier") ? .serviceTier : .none
    }

    private static func chat(_ name: KeyName) -> Self {
        switch name.count {
        case 1: name("n") ? .choices : .none
        case 5:
            name("model")
                ? .model : name("tools") ? .tools : name("audio") ? .audio : name("store") ? .store : .none
        case 6: name("stream") ? .stream : .none
        case 8: name("messages") ? .messages : .none
        case 10:
            name("max_tokens")
                ? .maxTokens
                : name("modalities")
                    ? .modalities
                    : name("prediction") ? .prediction : name("moderation") ? .moderation : .none
        case 12: name("service_tier") ? .serviceTier : .none
        case 14: name("stream_options") ? .streamOptions : .none
        case 18: name("web_search_options") ? .webSearch : .none
        case 20: name("prompt_cache_options") ? .cacheOptions : .none
        case 21: name("max_completion_tokens") ? .maxCompletionTokens : .none
        default: .none
        }
    }

    private static func responses(_ name: KeyName) -> Self {
        switch name.count {
        case 5:
            name("input")
                ? .input
                : name("model")
                    ? .model
                    : name("tools")
                        ? .tools
                        : name("store") ? .store : name("image") ? .imageOptions : .none
        case 6: name("stream") ? .stream : name("prompt") ? .prompt : .none
        case 9: name("reasoning") ? .reasoning : .none
        case 10:
            name("background")
                ? .background
                : name("modalities")
                    ? .modalities
                    : name("moderation") ? .moderation : name("truncation") ? .truncation : .none
        case 12:
            name("service_tier")
                ? .serviceTier
                : name("instructions") ? .instructions : name("conversation") ? .conversation : .none
        case 14: name("max_tool_calls") ? .maxToolCalls : .none
        case 15: name("access_programs") ? .accessPrograms : .none
        case 17: name("max_output_tokens") ? .maxOutputTokens : .none
        case 18: name("context_management") ? .contextManagement : .none
        case 20:
            name("previous_response_id")
                ? .previousResponse : name("prompt_cache_options") ? .cacheOptions : .none
        default: .none
        }
    }

    private static func completions(_ name: KeyName) -> Self {
        if name("prompt") { return .prompt }
        if name("max_tokens") { return .maxTokens }
        if name("n") { return .choices }
        if name("best_of") { return .bestOf }
        if name("stream") { return .stream }
        if name("stream_options") { return .streamOptions }
        if name("echo") { return .echo }
        return name("suffix") ? .suffix : self.common(name)
    }

    private static func images(_ name: KeyName) -> Self {
        if name("prompt") { return .prompt }
        if name("n") { return .choices }
        if name("quality") { return .quality }
        if name("size") { return .size }
        if name("stream") { return .stream }
        if name("partial_images") { return .partialImages }
        if name("output_format") { return .outputFormat }
        if name("svg") { return .svg }
        return name("complexity") ? .complexity : self.common(name)
    }

    private static func speech(_ name: KeyName) -> Self {
        if name("input") { return .input }
        if name("voice") { return .voice }
        return name("stream_format") ? .streamFormat : self.common(name)
    }
}

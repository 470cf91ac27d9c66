/// Which scope a container opens, and what stands in arrays.
extension RequestVisitor {
    /// Of an element of `input` or `prompt` that came as a token id.
    private static let bytesPerToken = 5

    // MARK: Scalars that are no member metering reads

    mutating func takeElement(_ raw: RawText) throws(RequestRejection) {
        switch self.scopes.current {
        case .document, .messages, .items, .tools, .tokens:
            try self.refuseElement("a string")
        case .modalities: try self.takeModality(self.text(raw))
        case .vectorStores: try self.refer(to: .vectorStore, raw, .vectorStores)
        case .prompts, .inputs:
            self.said.subjects += 1
            self.takeText(raw)
        case .part, .item, .piece:
            if self.isReadAsItIs { self.takeText(raw) } else { self.request.textBytes += raw.range.count }
        case .top, .media, .sound, .file, .voice, .voiceID, .earlierAudio, .streamOptions, .cacheOptions,
            .breakpoint:
            break
        default:
            self.request.textBytes += raw.range.count
        }
    }

    /// A text that the model reads as it is.
    mutating func takeText(_ raw: RawText) {
        self.request.textBytes += raw.range.count
        // Of the others no encoding is documented.
        switch self.endpoint {
        case .chat, .responses, .completions, .embeddings:
            self.request.texts.note(raw.range, isEscaped: raw.escaped)
        case .moderations, .images, .speech, .transcriptions, .translations: break
        }
    }

    /// Whether the string behind the last key, in a part or an item, is text. Names, ids, and what the template
    /// renders as JSON are not.
    private var isReadAsItIs: Bool {
        guard let key = self.lastKey, !key.escaped else { return false }
        let name = KeyName(bytes: self.body, range: key.range)
        return switch name.count {
        case 4: name("text")
        case 6: name("output")
        case 7: name("content") || name("refusal")
        // Of a function call: JSON in a string, which is what the model wrote and reads again.
        case 9: name("arguments")
        default: false
        }
    }

    mutating func takeNumberElement() throws(RequestRejection) {
        switch self.scopes.current {
        case .prompts, .inputs:
            self.said.isTokenList = true
            self.request.textBytes += Self.bytesPerToken
        case .tokens:
            self.request.textBytes += Self.bytesPerToken
        default:
            try self.refuseElement("a number")
        }
    }

    private mutating func takeModality(_ name: String) throws(RequestRejection) {
        switch name {
        case "text": break
        case "audio": self.request.media.insert(.audioOutput)
        default: throw .notMetered(.modalities)
        }
    }

    /// A value that is no member metering reads: wrong only as the whole body, or in a list of something
    /// else.
    @inline(__always)
    func refuseElement(_ got: String) throws(RequestRejection) {
        switch self.scopes.current {
        case .document: throw .notAnObject
        case .messages: throw .wrongType(.messages, "an array of objects", "\(got) in it")
        case .items: throw .wrongType(.input, "an array of objects", "\(got) in it")
        case .tools: throw .wrongType(.tools, "an array of objects", "\(got) in it")
        case .vectorStores: throw .wrongType(.vectorStores, "an array of strings", "\(got) in it")
        case .modalities: throw .wrongType(.modalities, "an array of strings", "\(got) in it")
        case .prompts: throw .wrongType(.prompt, "an array of strings or of tokens", "\(got) in it")
        case .inputs: throw .wrongType(.input, "an array of strings or of tokens", "\(got) in it")
        case .tokens:
            throw .wrongType(self.subject, "an array of arrays of tokens", "\(got) in one")
        case .contextManagement: throw .notMetered(.contextManagement)
        default: break
        }
    }

    private var subject: InspectSlot { self.endpoint == .completions ? .prompt : .input }

    // MARK: Objects

    /// Of an object that is no member metering reads.
    mutating func elementScope(at offset: Int) throws(RequestRejection) -> InspectScope {
        switch self.scopes.current {
        case .document:
            self.request.anchors.objectStart = offset + 1
            return .top
        case .messages:
            self.said.subjects += 1
            return .message
        case .content: return .part
        case .items:
            self.item = ItemFacts()
            return .item
        case .item, .piece, .template: return .piece
        case .tools:
            self.tool = ToolFacts()
            self.request.declaredTools += 1
            return .tool
        case .inputs where self.endpoint == .moderations:
            self.said.subjects += 1
            return .piece
        case .inputs, .prompts, .tokens, .modalities, .vectorStores, .contextManagement:
            try self.refuseElement("an object")
            return .other
        case .media, .sound, .file: return .media
        default: return .other
        }
    }

    /// Of an object that is the value of `slot`.
    mutating func objectScope(of slot: InspectSlot) throws(RequestRejection) -> InspectScope {
        switch slot {
        case .cacheOptions: return .cacheOptions
        case .breakpoint: return .breakpoint
        case .image, .pieceMedia:
            self.seeImage()
            return .media
        case .file:
            self.seeFile()
            return .file
        case .inputAudio, .pieceAudio:
            self.request.media.insert(.audioInput)
            return .sound
        case .earlierAudio:
            // Its tokens are read again, and only upstream knows how many they are.
            self.request.unboundedInput = true
            self.request.media.insert(.audioInput)
            return .earlierAudio
        case .audio:
            self.request.media.insert(.audioOutput)
            return .voice
        case .voice: return .voiceID
        case .webSearch:
            self.takeWebSearch()
            return .other
        case .prompt where self.endpoint == .responses:
            self.takeTemplate()
            return .template
        case .environment: return .environment
        case .reasoning: return .reasoning
        case .moderation: return .moderation
        case .requireApproval:
            // Lists of tools that need it, and of those that do not.
            self.tool.runsUnasked = true
            return .other
        default: throw self.refusal(slot, "an object")
        }
    }

    // MARK: Arrays

    /// Of an array that is no member metering reads.
    mutating func nestedArrayScope() throws(RequestRejection) -> InspectScope {
        switch self.scopes.current {
        case .prompts, .inputs:
            self.said.subjects += 1
            return .tokens
        case .item, .piece, .template: return .piece
        case .media, .sound, .file: return .media
        default:
            try self.refuseElement("an array")
            return .other
        }
    }

    /// Of an array that is the value of `slot`.
    mutating func arrayScope(of slot: InspectSlot) throws(RequestRejection) -> InspectScope {
        switch slot {
        case .messages:
            self.said.hasSubject = true
            return .messages
        case .modalities: return .modalities
        case .content: return .content
        case .image, .file, .pieceMedia:
            self.seeImage()
            return .media
        case .input where self.endpoint == .responses: return .items
        case .input where self.endpoint != .speech:
            self.said.hasSubject = true
            return .inputs
        case .prompt where self.endpoint == .completions:
            self.said.hasSubject = true
            return .prompts
        case .tools, .itemTools:
            // A tool in a tool would be taken for the outer one.
            guard self.tool == ToolFacts() else { throw .notMetered(.toolType) }
            return .tools
        case .vectorStores: return .vectorStores
        case .contextManagement: return .contextManagement
        default: throw self.refusal(slot, "an array")
        }
    }
}

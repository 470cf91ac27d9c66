/// Strings and numbers that metering reads.
extension RequestVisitor {
    private static let modelBytesMax = 256
    private static let toolCallsMax: Int64 = 1_000_000
    private static let spokenMax: Int64 = 4096
    private static let bestOfMax: Int64 = 20
    private static let referencesMax = 1000

    // MARK: Strings

    mutating func take(_ raw: RawText, as slot: InspectSlot) throws(RequestRejection) {
        switch slot {
        case .content, .instructions, .suffix: self.takeText(raw)
        case .model: try self.takeModel(raw)
        case .serviceTier: try self.takeTier(raw)
        case .cacheTTL, .breakpointTTL: try self.takeLifetime(raw, slot)
        case .image: self.seeImage()
        case .file: self.seeFile()
        case .partType: try self.takePartType(self.text(raw))
        case .earlierAudioID: try self.refer(to: .audio, raw, slot)
        case .fileID: try self.refer(to: .file, raw, slot)
        case .voiceID: try self.refer(to: .voice, raw, slot)
        case .comparedResponse: try self.refer(to: .response, raw, slot)
        case .previousResponse: self.goOn(from: raw)
        case .promptID: try self.hide(.prompt, raw, slot)
        case .itemType, .itemRole, .itemID, .encryptedContent, .pieceType, .pieceMedia, .pieceFileID:
            try self.takeItemText(raw, slot)
        case .toolType: try self.takeToolType(raw)
        case .environmentType: try self.takeEnvironment(self.text(raw))
        case .requireApproval: self.tool.runsUnasked = self.text(raw) != "always"
        case .reasoningMode: try self.takeReasoningMode(self.text(raw))
        case .moderationModel: try self.takeModeration(self.text(raw))
        case .soundData: self.takeSound(raw)
        case .input where self.endpoint == .speech: try self.takeSpoken(raw)
        case .input: self.takeSubject(raw)
        case .prompt where self.endpoint != .responses: self.takeSubject(raw)
        case .quality: self.said.quality = self.text(raw)
        case .size: self.said.size = self.text(raw)
        case .outputFormat: try self.takeOutputFormat(self.text(raw))
        case .truncation: self.request.truncates = self.text(raw) != "disabled"
        case .streamFormat: try self.takeStreamFormat(self.text(raw))
        case .voice: break
        default: throw self.refusal(slot, "a string")
        }
    }

    private mutating func takeModel(_ raw: RawText) throws(RequestRejection) {
        guard !raw.range.isEmpty, raw.range.count <= Self.modelBytesMax else {
            throw .invalid("model", "'model' must be a string of 1 to \(Self.modelBytesMax) bytes.")
        }
        self.request.model = self.text(raw)
    }

    private mutating func takeTier(_ raw: RawText) throws(RequestRejection) {
        let literal = self.text(raw)
        if literal == "auto" {
            self.request.serviceTier = .auto
            self.request.anchors.tier = raw.range.lowerBound - 1..<raw.range.upperBound + 1
            return
        }
        guard self.endpoint.hasServiceTier else {
            // Not a documented member; a tier that upstream served all the same would have another price.
            guard literal == "default" else { throw .notMetered(.serviceTier) }
            return
        }
        let tier = ServiceTier(apiLiteral: literal)
        guard let tier, tier != .ultrafast || self.endpoint == .responses else {
            let last = self.endpoint == .responses ? ", ultrafast" : ""
            throw .invalid(
                "service_tier", "'service_tier' must be one of auto, default, flex, priority\(last).")
        }
        self.request.serviceTier = .named(tier)
    }

    /// Cache writes that live longer have a price of their own, of the request's and of each part's.
    private mutating func takeLifetime(_ raw: RawText, _ slot: InspectSlot) throws(RequestRejection) {
        switch self.text(raw) {
        case "30m": break
        case "12h": self.request.media.insert(.longWrites)
        default: throw .notMetered(slot)
        }
    }

    private mutating func takePartType(_ type: String) throws(RequestRejection) {
        switch type {
        case "text", "refusal": break
        case "image_url": self.seeImage()
        case "file": self.seeFile()
        case "input_audio": self.declareSound()
        default:
            throw .invalid("messages", "A part of 'messages' has a content type that cannot be metered yet.")
        }
    }

    private mutating func takeSubject(_ raw: RawText) {
        self.said.hasSubject = true
        self.said.subjects = 1
        self.takeText(raw)
    }

    private mutating func takeSpoken(_ raw: RawText) throws(RequestRejection) {
        self.takeSubject(raw)
        self.request.characters = JSONText.scalarCount(self.body, raw.range)
        guard self.request.characters <= Self.spokenMax else {
            throw .invalid("input", "'input' must be at most \(Self.spokenMax) characters.")
        }
    }

    private func takeOutputFormat(_ format: String) throws(RequestRejection) {
        // A gif bills its frames and an svg the tokens of another model, neither by a documented number.
        guard ["png", "webp", "jpeg"].contains(format) else {
            throw .notMetered(.outputFormat, "only png, webp and jpeg have a known price")
        }
    }

    private mutating func takeStreamFormat(_ format: String) throws(RequestRejection) {
        guard format == "sse" || format == "audio" else {
            throw .invalid("stream_format", "'stream_format' must be one of sse, audio.")
        }
        self.request.stream = format == "sse"
    }

    // MARK: What the input brings

    mutating func seeImage() {
        self.request.unboundedInput = true
        self.request.media.insert(.imageInput)
    }

    /// Pages of a file are read as images too.
    mutating func seeFile() { self.seeImage() }

    /// Each reference is one question to the store of who owns what, so their number has a bound.
    mutating func refer(
        to kind: StoredReference.Kind, _ raw: RawText, _ slot: InspectSlot
    ) throws(RequestRejection) {
        guard self.request.references.count < Self.referencesMax else {
            throw .invalid(
                slot.name,
                "'\(slot.name)' refers to a stored object, of which a request may name \(Self.referencesMax)."
            )
        }
        self.request.references.append(StoredReference(kind: kind, id: self.text(raw)))
    }

    /// A stored object whose content becomes part of the input.
    mutating func hide(
        _ kind: StoredReference.Kind, _ raw: RawText, _ slot: InspectSlot
    ) throws(RequestRejection) {
        try self.refer(to: kind, raw, slot)
        self.request.unboundedInput = true
        self.request.hidesMedia = true
    }

    /// A stored response; what it read and wrote becomes part of the input.
    private mutating func goOn(from raw: RawText) {
        self.request.earlier = EarlierInput(responseID: self.text(raw))
        self.request.hidesMedia = true
    }

    // MARK: Numbers

    mutating func take(number range: Range<Int>, as slot: InspectSlot) throws(RequestRejection) {
        switch slot {
        case .maxTokens:
            self.said.maxTokens = try self.integer(
                range, slot, (self.endpoint == .completions ? 0 : 1)...Int64.max)
        case .maxCompletionTokens:
            self.said.maxCompletionTokens = try self.integer(range, slot, 1...Int64.max)
        case .maxOutputTokens: self.request.outputCap = try self.integer(range, slot, 1...Int64.max)
        case .maxToolCalls: self.request.maxToolCalls = try self.integer(range, slot, 0...Self.toolCallsMax)
        case .choices:
            self.request.choices = try self.integer(range, slot, 1...(self.endpoint == .images ? 10 : 128))
        case .bestOf: self.said.bestOf = try self.integer(range, slot, 1...Self.bestOfMax)
        case .partialImages: self.said.partialImages = try self.integer(range, slot, 0...3)
        default: throw self.refusal(slot, "a number")
        }
    }

    /// Digits only: what `1.0` or `1e2` means to upstream is not certain.
    private func integer(
        _ range: Range<Int>, _ slot: InspectSlot, _ allowed: ClosedRange<Int64>
    ) throws(RequestRejection) -> Int64 {
        let kind = allowed.lowerBound == 0 ? "an integer of at least 0" : "a positive integer"
        var value: Int64 = 0
        for index in range {
            let digit = self.body[index] &- 0x30
            guard digit <= 9 else { throw .invalid(slot.name, "'\(slot.name)' must be \(kind).") }
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (next, carry) = scaled.addingReportingOverflow(Int64(digit))
            guard !overflow, !carry else { throw .invalid(slot.name, "'\(slot.name)' is too large.") }
            value = next
        }
        guard value >= allowed.lowerBound else {
            throw .invalid(slot.name, "'\(slot.name)' must be \(kind).")
        }
        guard value <= allowed.upperBound else {
            throw .invalid(slot.name, "'\(slot.name)' must be at most \(allowed.upperBound).")
        }
        return value
    }
}

/// Items and tools of the Responses API, and the hosted tools of chat.
extension RequestVisitor {
    // MARK: Items

    mutating func takeItemText(_ raw: RawText, _ slot: InspectSlot) throws(RequestRejection) {
        switch slot {
        case .itemType: self.item.type = self.text(raw)
        case .itemRole:
            self.item.hasRole = true
            self.request.textBytes += raw.range.count
        case .itemID: self.item.id = raw
        // Ciphertext is not shorter than what it hides.
        case .encryptedContent: self.item.isEncrypted = !raw.range.isEmpty
        case .pieceMedia: self.seeImage()
        case .pieceFileID:
            try self.refer(to: .file, raw, slot)
            self.seeFile()
        case .pieceType: self.takePieceType(self.text(raw))
        default: preconditionFailure("take(_:as:) passes only texts of items")
        }
    }

    private mutating func takePieceType(_ type: String) {
        switch type {
        case "input_text": break
        case "input_audio": self.declareSound()
        case "image_url", "computer_screenshot": self.seeImage()
        // input_image, input_file, and kinds of input that do not exist yet.
        case _ where type.hasPrefix("input_"): self.seeFile()
        default: break
        }
    }

    mutating func endItem() throws(RequestRejection) {
        let item = self.item
        if item.type == "mcp_approval_response" { self.request.approvedCalls += 1 }
        switch ItemTreatment(type: item.type, hasRole: item.hasRole) {
        case .whole: return
        case .wholeWhenEncrypted where item.isEncrypted: return
        case .refused: throw .notMetered(.itemType, "a compaction has no bound on its output")
        case .wholeWhenEncrypted, .standsForMore: break
        }
        self.request.unboundedInput = true
        self.request.hidesMedia = true
        if let id = item.id { try self.refer(to: .item, id, .itemID) }
    }

    // MARK: Tools

    mutating func takeToolType(_ raw: RawText) throws(RequestRejection) {
        self.request.textBytes += raw.range.count
        let type = self.text(raw)
        let treatment: ToolTreatment =
            self.endpoint == .chat ? .init(chatType: type) : .init(responsesType: type)
        switch treatment {
        case .free: break
        case .freeWhenLocal: self.tool.needsLocalEnvironment = true
        case .loops: self.loop()
        case .loopsWhenApproved:
            self.loop()
            self.tool.needsApproval = true
        case .billed(let kind):
            self.loop()
            self.request.hostedTools.insert(kind)
        case .unbounded:
            throw .notMetered(.toolType, "a declared tool has a fee that the request does not bound")
        }
    }

    /// Definitions and results of a hosted tool are input that the body does not show.
    private mutating func loop() {
        if self.scopes.areInside(.items) { self.said.itemsHostTools = true }
        self.request.loops = true
        self.request.unboundedInput = true
        self.request.hidesMedia = true
    }

    mutating func takeEnvironment(_ type: String) throws(RequestRejection) {
        guard type == "local" else {
            throw .notMetered(
                .environmentType, "a container is billed by time, which the request does not bound")
        }
        self.tool.hasLocalEnvironment = true
    }

    mutating func endTool() throws(RequestRejection) {
        let tool = self.tool
        self.tool = ToolFacts()
        guard !tool.needsLocalEnvironment || tool.hasLocalEnvironment else {
            throw .notMetered(.environment, "a shell is free only in the client's own environment, 'local'")
        }
        guard !tool.needsApproval || !tool.runsUnasked else {
            throw .notMetered(
                .requireApproval,
                "only 'always' bounds the calls of a server, which 'max_tool_calls' does not")
        }
    }

    /// A template brings its own tools; nobody here knows which.
    mutating func takeTemplate() {
        self.loop()
        self.request.hostedTools.formUnion(ToolKind.allCases)
    }

    /// Chat bills one search per request and has no `max_tool_calls`.
    mutating func takeWebSearch() {
        self.loop()
        self.request.hostedTools.insert(.webSearchPreview)
        self.request.maxToolCalls = 1
    }
}

/// Gathers an `InspectedRequest` from a walk over the body, and refuses what cannot be metered where it
/// stands.
struct RequestVisitor: JSONVisitor {
    /// A validated string as it stands in the body.
    struct RawText {
        var range: Range<Int>
        var escaped: Bool
    }

    /// What is known of the item of `input` that is being read.
    struct ItemFacts {
        var type: String?
        var hasRole = false
        var id: RawText?
        var isEncrypted = false
    }

    /// What is known of the tool that is being read.
    struct ToolFacts: Hashable {
        var needsLocalEnvironment = false
        var hasLocalEnvironment = false
        var needsApproval = false
        /// Some of its calls are made without asking the client.
        var runsUnasked = false
    }

    /// Members that mean something only together with others.
    struct Said {
        var maxTokens: Int64?
        var maxCompletionTokens: Int64?
        var bestOf: Int64?
        var echo = false
        /// An item of the input declares tools that upstream runs.
        var itemsHostTools = false
        var store: Bool?
        var quality: String?
        var size: String?
        var partialImages: Int64 = 0
        /// The member without which the endpoint has nothing to do: `messages`, `input` or `prompt`.
        var hasSubject = false
        /// Elements of that member.
        var subjects: Int64 = 0
        /// That member is one list of token ids.
        var isTokenList = false
    }

    let body: UnsafeRawBufferPointer
    let endpoint: InspectedEndpoint
    var request: InspectedRequest
    var said = Said()
    var item = ItemFacts()
    var tool = ToolFacts()
    var scopes = InspectScopes()
    /// Parts that are audio, and those whose length was measured.
    var sounds = (declared: 0, measured: 0)
    /// What the next value is.
    private var slot: InspectSlot = .none
    private(set) var lastKey: RawText?
    private var predictionStart = 0
    /// Members at the top that the caller reads himself.
    private let alsoKnown: [String]
    /// The first one that nobody knows. The document is read to its end all the same: whether it is one comes first.
    private(set) var unknownMember: RawText?

    init(_ body: UnsafeRawBufferPointer, _ endpoint: InspectedEndpoint, alsoKnown: [String] = []) {
        self.body = body
        self.alsoKnown = alsoKnown
        self.endpoint = endpoint
        self.request = InspectedRequest(endpoint)
    }

    func rejection(for fault: JSONFault) -> RequestRejection {
        var message = "The body is not valid JSON: \(fault.reason.rawValue) at byte \(fault.offset)."
        var param: String?
        if fault.reason == .duplicateKey, let key = self.lastKey, self.scopes.current == .top {
            // A name that metering knows may be told; any other is the client's content.
            let known = self.slot(of: key)
            if known != .none, known != .unknown {
                param = known.name
                message = "The body names '\(known.name)' twice."
            }
        }
        return RequestRejection(code: .invalidJSON, param: param, message: message)
    }

    func text(_ raw: RawText) -> String { JSONText.text(self.body, raw.range, escaped: raw.escaped) }

    /// A value that the member may not have.
    func refusal(_ slot: InspectSlot, _ got: String) -> RequestRejection {
        guard let expected = slot.expected(by: self.endpoint) else { return .notMetered(slot) }
        return .wrongType(slot, expected, got)
    }

    // MARK: Members

    mutating func key(_ range: Range<Int>, escaped: Bool) {
        let key = RawText(range: range, escaped: escaped)
        self.lastKey = key
        switch self.scopes.current {
        case .other:
            // The property names of a tool's schema are part of the prompt.
            self.request.textBytes += range.count
        case .tool:
            self.request.textBytes += range.count
            self.slot = self.slot(of: key)
        case .media, .prediction:
            break
        default:
            self.slot = self.slot(of: key)
        }
    }

    private func slot(of key: RawText) -> InspectSlot {
        let slot: InspectSlot
        if key.escaped {
            var name = JSONText.unescape(self.body, key.range)
            slot = name.withUTF8 {
                .named(
                    KeyName(bytes: UnsafeRawBufferPointer($0), range: 0..<$0.count), in: self.scopes.current,
                    of: self.endpoint)
            }
        } else {
            slot = .named(
                KeyName(bytes: self.body, range: key.range), in: self.scopes.current, of: self.endpoint)
        }
        // Not `&&`, whose right side would be a closure with a copy of the visitor.
        guard slot == .unknown else { return slot }
        return self.alsoKnown.contains(self.text(key)) ? .none : .unknown
    }

    private mutating func takeSlot() -> InspectSlot {
        let slot = self.slot
        self.slot = .none
        guard slot == .unknown else { return slot }
        self.unknownMember = self.unknownMember ?? self.lastKey
        return .none
    }

    // MARK: Values

    mutating func string(_ range: Range<Int>, escaped: Bool) throws(RequestRejection) {
        let raw = RawText(range: range, escaped: escaped)
        let slot = self.takeSlot()
        if slot == .none {
            try self.takeElement(raw)
        } else {
            try self.take(raw, as: slot)
        }
    }

    mutating func number(_ range: Range<Int>) throws(RequestRejection) {
        let slot = self.takeSlot()
        if slot == .none {
            try self.takeNumberElement()
        } else {
            try self.take(number: range, as: slot)
        }
    }

    mutating func bool(_ value: Bool, at offset: Int) throws(RequestRejection) {
        switch self.takeSlot() {
        case .none: try self.refuseElement("a boolean")
        case .stream: self.request.stream = value
        case .store: self.said.store = value
        case .echo: self.said.echo = value
        case .includeUsage:
            self.request.includeUsage = value
            self.request.anchors.streamOptions = .includeUsage(offset..<offset + (value ? 4 : 5))
        case .background:
            // Its usage comes by polling, hours later.
            if value { throw .notMetered(.background) }
        case .cachePrewarm:
            // Bills the cache write and makes no output; the hold keeps the output all the same, since a
            // model that does not know the member answers.
            break
        case let slot: throw self.refusal(slot, "a boolean")
        }
    }

    /// null is absent, where absence is allowed.
    mutating func null(at offset: Int) throws(RequestRejection) {
        let range = offset..<offset + 4
        if self.slot == .unknown { self.slot = .none }
        switch self.takeSlot() {
        case .none: try self.refuseElement("null")
        // `finish` decides whether the member is needed.
        case .streamOptions: self.request.anchors.streamOptions = .null(range)
        case .includeUsage: self.request.anchors.streamOptions = .includeUsage(range)
        case .serviceTier: self.request.anchors.tier = range
        case let slot where slot.name == self.endpoint.capName: self.request.anchors.nullCap = range
        case .maxToolCalls: self.request.anchors.nullToolCalls = range
        default: break
        }
    }

    mutating func beginObject(at offset: Int) throws(RequestRejection) {
        switch self.takeSlot() {
        case .none:
            self.scopes.push(try self.elementScope(at: offset))
        case .streamOptions:
            self.request.anchors.streamOptions = .object(start: offset + 1, hasMembers: false)
            self.scopes.push(.streamOptions)
        case .prediction:
            self.predictionStart = offset
            self.scopes.push(.prediction)
        case let slot:
            self.scopes.push(try self.objectScope(of: slot))
        }
    }

    mutating func beginArray(at offset: Int) throws(RequestRejection) {
        let slot = self.takeSlot()
        self.scopes.push(slot == .none ? try self.nestedArrayScope() : try self.arrayScope(of: slot))
    }

    mutating func endContainer(at offset: Int) throws(RequestRejection) {
        switch self.scopes.pop() {
        case .streamOptions:
            guard let key = self.lastKey, case .object(let start, _) = self.request.anchors.streamOptions
            else { return }
            // The last key stands inside the object exactly when the object has a member.
            let hasMembers = key.range.lowerBound > start
            self.request.anchors.streamOptions = .object(start: start, hasMembers: hasMembers)
        case .prediction:
            self.request.extraOutputTokens = Int64(offset + 1 - self.predictionStart)
            self.request.refusesCap = true
        case .item: try self.endItem()
        case .tool: try self.endTool()
        default: break
        }
    }
}

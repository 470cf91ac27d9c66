/// One edit to a body as it was received.
public struct BodyEdit: Sendable, Equatable {
    public var range: Range<Int>
    public var replacement: [UInt8]
}

extension InspectedRequest {
    /// Byte offsets in the body.
    struct EditAnchors: Sendable, Equatable {
        /// Behind the opening brace; members can be put here, in front of `model` or whichever comes first.
        var objectStart = 1
        /// Value of `service_tier`, when it is `auto` or null.
        var tier: Range<Int>?
        /// Value of the output cap, when it is null.
        var nullCap: Range<Int>?
        /// Value of `max_tool_calls`, when it is null.
        var nullToolCalls: Range<Int>?
        /// Value of `stream_options`, when it is present.
        var streamOptions: StreamOptions = .absent
    }

    enum StreamOptions: Sendable, Equatable {
        case absent
        case null(Range<Int>)
        /// Behind the opening brace, and whether it has members.
        case object(start: Int, hasMembers: Bool)
        /// Value of `include_usage`.
        case includeUsage(Range<Int>)
    }

    /// The documented edits (DESIGN §3.3), in order of position, not overlapping. What the endpoint has no
    /// member for is left out. What the client said itself is never touched, but null is taken for not said.
    ///
    /// - Parameters:
    ///   - injectUsage: ask for the usage chunk.
    ///   - outputCap: cap per choice to add; only where `isClampable`.
    ///   - toolCalls: `max_tool_calls` to add where hosted tools are declared without it; the same number as
    ///     in `bounds`.
    ///   - pinTier: send `service_tier: default` where it is absent, null or `auto`; a named tier stays.
    public func edits(
        injectUsage: Bool, outputCap: Int64?, toolCalls: Int64 = Self.toolCallsDefault, pinTier: Bool
    ) -> [BodyEdit] {
        var list = EditList()
        if injectUsage, self.endpoint.hasUsageOption { list.askForUsage(self.anchors.streamOptions) }
        if let name = self.endpoint.capName, let cap = self.capToSend(outputCap) {
            list.put(name, String(cap), over: self.anchors.nullCap)
        }
        if self.endpoint == .responses, self.needsToolCallLimit {
            list.put("max_tool_calls", String(toolCalls), over: self.anchors.nullToolCalls)
        }
        if pinTier, self.endpoint.hasServiceTier, self.serviceTier == .absent || self.serviceTier == .auto {
            list.put("service_tier", "\"default\"", over: self.anchors.tier)
        }
        return list.finish(objectStart: self.anchors.objectStart)
    }

    private func capToSend(_ cap: Int64?) -> Int64? {
        // Whether null means the documented 16 to upstream is not certain; the number is.
        if self.endpoint == .completions { return self.anchors.nullCap == nil ? nil : self.outputCap }
        return self.isClampable ? cap : nil
    }
}

/// Gathers edits, and the members that are to stand in front of all others.
private struct EditList {
    private var edits: [BodyEdit] = []
    /// Members, each with a comma behind it.
    private var added: [UInt8] = []

    private mutating func replace(_ range: Range<Int>, _ text: some Collection<UInt8>) {
        self.edits.append(BodyEdit(range: range, replacement: Array(text)))
    }

    /// A second member of the same name would leave it to upstream which of the two counts, so a null is
    /// replaced.
    mutating func put(_ name: String, _ value: String, over null: Range<Int>?) {
        if let null {
            self.replace(null, value.utf8)
        } else {
            self.added.reserveCapacity(48)
            self.added.append(UInt8(ascii: "\""))
            self.added.append(contentsOf: name.utf8)
            self.added.append(UInt8(ascii: "\""))
            self.added.append(UInt8(ascii: ":"))
            self.added.append(contentsOf: value.utf8)
            self.added.append(UInt8(ascii: ","))
        }
    }

    mutating func askForUsage(_ options: InspectedRequest.StreamOptions) {
        let usage = "\"include_usage\":true"
        switch options {
        case .absent: self.put("stream_options", "{\(usage)}", over: nil)
        case .null(let range): self.replace(range, "{\(usage)}".utf8)
        case .object(let start, let hasMembers):
            self.replace(start..<start, (hasMembers ? usage + "," : usage).utf8)
        case .includeUsage(let range): self.replace(range, "true".utf8)
        }
    }

    /// Every inspected body has a member, `model` or `input`, so a comma always follows.
    consuming func finish(objectStart: Int) -> [BodyEdit] {
        if !self.added.isEmpty {
            self.edits.append(BodyEdit(range: objectStart..<objectStart, replacement: self.added))
        }
        guard self.edits.count > 1 else { return self.edits }
        return self.edits.sorted { $0.range.lowerBound < $1.range.lowerBound }
    }
}

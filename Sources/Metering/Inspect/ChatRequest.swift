/// What metering needs of the body of a chat completion, and where the body may be edited.
public struct ChatRequest: Sendable, Equatable {
    public var model = ""
    public var stream = false
    /// The client asked for the usage chunk itself.
    public var includeUsage = false
    /// Most output tokens per choice that the client allows: the larger of `max_completion_tokens` and
    /// `max_tokens`.
    public var outputCap: Int64?
    /// `n`, 1...128.
    public var choices: Int64 = 1
    public var serviceTier: RequestedTier = .absent
    /// Bytes of the text in messages, tools and the like, without media: what the input estimate is made
    /// from.
    public var textBytes = 0
    /// Parts whose tokens their bytes do not bound (images, files): the model's context does.
    public var unboundedInput = false
    var anchors = EditAnchors()

    public enum RequestedTier: Sendable, Equatable {
        case absent
        /// OpenAI's project setting would decide; it is replaced by `default`, whose price is known.
        case auto
        case named(ServiceTier)
    }

    /// Byte offsets in the body.
    struct EditAnchors: Sendable, Equatable {
        /// Behind the opening brace; members can be put here, in front of `model` or whichever comes first.
        var objectStart = 1
        /// Value of `service_tier`, when it is `auto` or null.
        var tier: Range<Int>?
        /// Value of `max_completion_tokens`, when it is null.
        var nullCap: Range<Int>?
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
}

/// One edit to a body as it was received.
public struct BodyEdit: Sendable, Equatable {
    public var range: Range<Int>
    public var replacement: [UInt8]
}

extension ChatRequest {
    /// The documented edits (DESIGN §3.3), in order of position, not overlapping.
    ///
    /// - Parameters:
    ///   - injectUsage: ask for the usage chunk.
    ///   - outputCap: cap per choice to add. A cap of the client's own is never touched.
    ///   - pinTier: send `service_tier: default` where it is absent, null or `auto`; a named tier stays.
    public func edits(injectUsage: Bool, outputCap: Int64?, pinTier: Bool) -> [BodyEdit] {
        var added: [String] = []
        var edits: [BodyEdit] = []
        func replace(_ range: Range<Int>, _ text: String) {
            edits.append(BodyEdit(range: range, replacement: Array(text.utf8)))
        }
        if injectUsage {
            switch self.anchors.streamOptions {
            case .absent: added.append("\"stream_options\":{\"include_usage\":true}")
            case .null(let range): replace(range, "{\"include_usage\":true}")
            case .object(let start, let hasMembers):
                replace(start..<start, hasMembers ? "\"include_usage\":true," : "\"include_usage\":true")
            case .includeUsage(let range): replace(range, "true")
            }
        }
        if let outputCap, self.outputCap == nil {
            // A second member of the same name would leave it to upstream which of the two counts.
            if let range = self.anchors.nullCap {
                replace(range, String(outputCap))
            } else {
                added.append("\"max_completion_tokens\":\(outputCap)")
            }
        }
        if pinTier {
            if let range = self.anchors.tier {
                replace(range, "\"default\"")
            } else if self.serviceTier == .absent {
                added.append("\"service_tier\":\"default\"")
            }
        }
        if !added.isEmpty {
            let start = self.anchors.objectStart
            replace(start..<start, added.joined(separator: ",") + ",")
        }
        return edits.sorted { $0.range.lowerBound < $1.range.lowerBound }
    }
}

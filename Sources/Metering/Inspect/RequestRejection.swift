/// Why a request body is refused: 400, with the field's name and nothing of its content.
public struct RequestRejection: Error, Sendable, Equatable {
    public enum Code: Sendable, Equatable {
        /// Not a JSON document that can be read in one way only.
        case invalidJSON
        /// A document that cannot be metered.
        case invalidRequest
    }

    public var code: Code
    /// As OpenAI names it, with dots; nil when no one field is at fault.
    public var param: String?
    public var message: String

    public init(code: Code, param: String?, message: String) {
        self.code = code
        self.param = param
        self.message = message
    }
}

extension RequestRejection {
    static let notAnObject = RequestRejection(
        code: .invalidRequest, param: nil, message: "The body must be a JSON object.")

    static func invalid(_ name: String, _ message: String) -> RequestRejection {
        RequestRejection(code: .invalidRequest, param: name, message: message)
    }

    static func missing(_ name: String) -> RequestRejection {
        self.invalid(name, "Missing required parameter: '\(name)'.")
    }

    static func wrongType(_ slot: ChatRequestSlot, _ expected: String, _ got: String) -> RequestRejection {
        self.invalid(
            slot.name, "Invalid type for '\(slot.name)': expected \(expected), but got \(got) instead.")
    }

    static func notMetered(_ slot: ChatRequestSlot) -> RequestRejection {
        self.invalid(slot.name, "'\(slot.name)' cannot be metered by this gateway yet.")
    }

    /// A value that the member may not have.
    static func refused(_ slot: ChatRequestSlot, _ got: String) -> RequestRejection {
        switch slot {
        case .audio, .webSearch, .prediction, .cacheTTL, .cachePrewarm, .inputAudio, .earlierAudio:
            self.notMetered(slot)
        case .model, .serviceTier, .partType: self.wrongType(slot, "a string", got)
        case .messages: self.wrongType(slot, "an array of objects", got)
        case .modalities: self.wrongType(slot, "an array of strings", got)
        case .stream, .includeUsage: self.wrongType(slot, "a boolean", got)
        case .streamOptions, .cacheOptions: self.wrongType(slot, "an object", got)
        case .maxTokens, .maxCompletionTokens, .choices: self.wrongType(slot, "an integer", got)
        case .none, .content, .media: self.wrongType(.content, "a string or an array", got)
        }
    }
}

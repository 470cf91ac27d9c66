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

    private static let nameBytesMax = 64

    /// A member that is not known here. A name is told only when it looks like one: it is the client's content.
    static func unknownMember(_ name: String) -> RequestRejection {
        let isName =
            1...Self.nameBytesMax ~= name.utf8.count
            && name.utf8.allSatisfy {
                0x30...0x39 ~= $0 || 0x41...0x5a ~= $0 || 0x61...0x7a ~= $0 || $0 == 0x5f || $0 == 0x2d
            }
        guard isName else {
            return RequestRejection(
                code: .invalidRequest, param: nil,
                message: "The body has a member that this gateway does not know, so it cannot be metered.")
        }
        return self.invalid(
            name, "Unknown parameter: '\(name)'. This gateway does not know what it costs; leave it out.")
    }

    static func wrongType(_ slot: InspectSlot, _ expected: String, _ got: String) -> RequestRejection {
        self.invalid(
            slot.name, "Invalid type for '\(slot.name)': expected \(expected), but got \(got) instead.")
    }

    static func notMetered(_ slot: InspectSlot) -> RequestRejection {
        self.invalid(slot.name, "'\(slot.name)' cannot be metered by this gateway yet.")
    }

    /// As `notMetered`, with the value of a closed list that cannot be metered, and why.
    static func notMetered(_ slot: InspectSlot, _ why: String) -> RequestRejection {
        self.invalid(slot.name, "'\(slot.name)' cannot be metered by this gateway: \(why).")
    }
}

import Metering

/// Whose request it is. Decided in one place, on the validated raw target (DESIGN §3.1).
enum Plane: Sendable, Equatable {
    case data(DataRoute)
    case control
    /// A route of the control plane that takes a rate card, and so a larger body than the others.
    case rateCard
    /// A disguise, or a form of target that a gateway does not serve: 400.
    case invalid
}

/// What the data plane knows of its targets.
enum DataRoute: Sendable, Equatable {
    /// `/v1/chat/completions`, `/v1/responses` and so on: a body that is inspected, held for and relayed.
    case metered(InspectedEndpoint)
    /// `/api/ai/chat`
    case aiChat
    /// `/v1/models`
    case models
    /// `/v1/models/{id}`; the range of the id in the target.
    case model(Range<Int>)
    /// `/v1/responses/{id}`; the range of the id in the target. Anything that no id can be, and anything below it, is
    /// not metered.
    case storedResponse(Range<Int>)
    /// Any other `/v1/…`: never relayed.
    case unmetered

    /// Bounded label of `proxy_requests_total`.
    enum Label: String, Sendable, Hashable {
        case chat, responses, completions, embeddings, moderations, images, audio, models, unmetered, control,
            invalid
        case storedResponses = "stored_responses"
    }

    /// What is inspected, and relayed to which endpoint; nil: nothing is.
    var inspected: InspectedEndpoint? {
        switch self {
        case .metered(let endpoint): endpoint
        case .aiChat: .chat
        case .models, .model, .storedResponse, .unmetered: nil
        }
    }

    var label: Label {
        switch self {
        case .metered(let endpoint): Label(endpoint)
        case .aiChat: .chat
        case .models, .model: .models
        case .storedResponse: .storedResponses
        case .unmetered: .unmetered
        }
    }
}

extension DataRoute.Label {
    init(_ endpoint: InspectedEndpoint) {
        switch endpoint {
        case .chat: self = .chat
        case .responses: self = .responses
        case .completions: self = .completions
        case .embeddings: self = .embeddings
        case .moderations: self = .moderations
        case .images: self = .images
        case .speech, .transcriptions, .translations: self = .audio
        }
    }
}

extension Plane {
    static func classify(target: UnsafeRawBufferPointer) -> Plane {
        var pathEnd = target.count
        for index in 0..<target.count where target[index] == UInt8(ascii: "?") {
            pathEnd = index
            break
        }
        guard Self.isPlain(target, pathEnd) else { return .invalid }
        let path = UnsafeRawBufferPointer(rebasing: target[..<pathEnd])
        func isPath(_ wanted: StaticString) -> Bool {
            path.count == wanted.utf8CodeUnitCount && starts(wanted)
        }
        func starts(_ wanted: StaticString) -> Bool {
            let count = wanted.utf8CodeUnitCount
            return path.count >= count && (0..<count).allSatisfy { path[$0] == wanted.utf8Start[$0] }
        }
        if isPath("/v1/chat/completions") { return .data(.metered(.chat)) }
        if isPath("/v1/responses") { return .data(.metered(.responses)) }
        if isPath("/v1/completions") { return .data(.metered(.completions)) }
        if isPath("/v1/embeddings") { return .data(.metered(.embeddings)) }
        if isPath("/v1/moderations") { return .data(.metered(.moderations)) }
        if isPath("/v1/images/generations") { return .data(.metered(.images)) }
        if isPath("/v1/audio/speech") { return .data(.metered(.speech)) }
        if isPath("/v1/audio/transcriptions") { return .data(.metered(.transcriptions)) }
        if isPath("/v1/audio/translations") { return .data(.metered(.translations)) }
        if isPath("/api/ai/chat") { return .data(.aiChat) }
        if isPath("/v1/models") { return .data(.models) }
        if starts("/v1/models/"), path.count > 11 { return .data(.model(11..<path.count)) }
        if starts("/v1/responses/"), isResponseID(path[14...]) {
            return .data(.storedResponse(14..<path.count))
        }
        if starts("/v1/") || isPath("/v1") { return .data(.unmetered) }
        if starts("/api/admin/rate-cards") || isPath("/admin/rate-card-editor") { return .rateCard }
        return .control
    }

    private static func isResponseID(_ segment: Slice<UnsafeRawBufferPointer>) -> Bool {
        (1...ResponseID.bytesMax).contains(segment.count) && segment.allSatisfy(ResponseID.isPlain)
    }

    /// Origin form, without anything by which two programs could read two paths: no empty or dot segments, no
    /// backslash, no fragment, no escape of a character that needs none, nor of a slash, a dot or a percent
    /// sign.
    private static func isPlain(_ target: UnsafeRawBufferPointer, _ pathEnd: Int) -> Bool {
        guard pathEnd > 0, target[0] == UInt8(ascii: "/") else { return false }
        var index = 0
        while index < target.count {
            let byte = target[index]
            switch byte {
            case UInt8(ascii: "\\"), UInt8(ascii: "#"), 0...0x20, 0x7f...0xff:
                return false
            case UInt8(ascii: "/") where index < pathEnd:
                guard Self.segmentIsPlain(target, index + 1, pathEnd) else { return false }
            case UInt8(ascii: "%"):
                guard index + 2 < target.count, let code = Self.escape(target[index + 1], target[index + 2])
                else { return false }
                if index < pathEnd, !Self.mayBeEscaped(code) { return false }
                index += 2
            default:
                break
            }
            index += 1
        }
        return true
    }

    private static func segmentIsPlain(_ target: UnsafeRawBufferPointer, _ start: Int, _ pathEnd: Int) -> Bool
    {
        var end = start
        while end < pathEnd, target[end] != UInt8(ascii: "/") { end += 1 }
        let count = end - start
        // The path `/` alone, and a trailing slash, are plain; `//` is not.
        if count == 0 { return end == pathEnd }
        if count == 1 { return target[start] != UInt8(ascii: ".") }
        if count == 2 { return target[start] != UInt8(ascii: ".") || target[start + 1] != UInt8(ascii: ".") }
        return true
    }

    private static func escape(_ high: UInt8, _ low: UInt8) -> UInt8? {
        func nibble(_ byte: UInt8) -> UInt8? {
            switch byte {
            case 0x30...0x39: byte - 0x30
            case 0x61...0x66: byte - 0x57
            case 0x41...0x46: byte - 0x37
            default: nil
            }
        }
        guard let high = nibble(high), let low = nibble(low) else { return nil }
        return high << 4 | low
    }

    private static func mayBeEscaped(_ code: UInt8) -> Bool {
        switch code {
        case 0...0x1f, 0x7f, UInt8(ascii: "/"), UInt8(ascii: "\\"), UInt8(ascii: "%"), UInt8(ascii: "."),
            UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "~"), 0x30...0x39, 0x41...0x5a, 0x61...0x7a:
            false
        default: true
        }
    }
}

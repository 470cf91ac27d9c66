/// Where in the document the walk is, as far as metering cares.
enum InspectScope: UInt8 {
    /// Outside of everything.
    case document
    case top, streamOptions, modalities, cacheOptions
    /// `prompt_cache_breakpoint` of a part.
    case breakpoint
    case messages, message, content, part
    /// `audio` of a message: a reference to an earlier reply.
    case earlierAudio
    /// `file` of a part.
    case file
    case prediction
    /// `audio` of chat, and `voice` of speech.
    case voice, voiceID
    /// The array `input` of the Responses API, its elements, and everything in them.
    case items, item, piece
    case tools, tool, environment, vectorStores
    /// `reasoning` and `moderation` at the top.
    case reasoning, moderation
    /// `prompt` of the Responses API.
    case template
    case prompts, inputs
    /// Token ids in an array of arrays.
    case tokens
    case contextManagement
    /// `input_audio`: a file in base64.
    case sound
    /// Below an image or audio: its strings are not text.
    case media
    case other
}

/// The scopes of the open containers: one byte for each, without an allocation down to eight deep.
///
/// Everything below `other` and `media` is of the same scope, so there a count is enough.
struct InspectScopes {
    private(set) var current: InspectScope = .document
    /// Around the current one, at most 8, innermost in the low byte.
    private var path: UInt64 = 0
    private var outer: [UInt64] = []
    /// Scopes in `path` and `outer`.
    private var depth = 0
    private var below = 0

    @inline(__always)
    mutating func push(_ scope: InspectScope) {
        if self.current == .other || self.current == .media {
            self.below &+= 1
            return
        }
        if self.depth & 7 == 0, self.depth > 0 { self.outer.append(self.path) }
        self.path = self.path << 8 | UInt64(self.current.rawValue)
        self.current = scope
        self.depth &+= 1
    }

    /// Whether a container of this scope is around the current one.
    func areInside(_ scope: InspectScope) -> Bool {
        let paths = self.outer + [self.path]
        return paths.contains { path in
            (0..<8).contains { UInt8(truncatingIfNeeded: path >> ($0 * 8)) == scope.rawValue }
        }
    }

    /// Leaves the innermost container and returns its scope.
    @inline(__always)
    mutating func pop() -> InspectScope {
        let current = self.current
        if self.below > 0 {
            self.below &-= 1
            return current
        }
        self.current = InspectScope(rawValue: UInt8(truncatingIfNeeded: self.path)) ?? .document
        self.path >>= 8
        self.depth &-= 1
        if self.depth & 7 == 0, self.depth > 0 { self.path = self.outer.removeLast() }
        return current
    }
}

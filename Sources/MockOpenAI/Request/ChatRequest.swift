import NIOCore

/// What the mock needs to know of a chat completion request. Byte fields are slices of the body, raw JSON
/// string contents (escapes as they stand, so they can be written back between quotation marks).
struct ChatRequest {
    enum ToolChoice { case automatic, none, required }

    var model: ByteBuffer?
    var stream = false
    var choices = 1
    var maxTokens: Int?
    var maxCompletionTokens: Int?
    var serviceTier: ByteBuffer?
    var includeUsage = false
    var toolName: ByteBuffer?
    var toolChoice = ToolChoice.automatic
    var messageCount: Int?
    /// Bytes of all string contents and text parts as they stand in the body, plus those of `tools`.
    var promptBytes = 0
    var lastUserAsksForCall = false
    /// Hash of the messages and the model: the seed of the reply. Caps, tiers and stream options do not
    /// change it.
    var seed: UInt64 = 0
    var bodyBytes = 0
    /// `modalities` names audio.
    var speaks = false
    /// Bytes of base64 of the audio in the messages.
    var audioBytes = 0
    /// Bytes of the prediction's content as they stand in the body.
    var predictionBytes = 0
    var searchesWeb = false
    /// The `response_format`, when it asks for JSON.
    var schema: JSONTree?
    /// First parameter of a wrong type or value, if any.
    var wrongParameter: StaticString?

    /// `max_completion_tokens`, or the older `max_tokens`: visible and reasoning tokens of one choice.
    var cap: Int? { maxCompletionTokens ?? maxTokens }

    /// Documented rule: ceil(prompt bytes / 4) + audio + 4 per message + 3, never more than the bytes of the
    /// body.
    var promptTokens: Int {
        min((promptBytes + 3) / 4 + inputAudioTokens + 4 * (messageCount ?? 0) + 3, bodyBytes)
    }

    /// Documented rule: one token per 100 bytes of base64.
    var inputAudioTokens: Int { (audioBytes + 99) / 100 }

    init(body: ByteBuffer) throws(JSONCursor.Malformed) {
        bodyBytes = body.readableBytes
        var ranges = Ranges()
        let result = body.withUnsafeReadableBytes { bytes -> Result<Void, JSONCursor.Malformed> in
            Result { () throws(JSONCursor.Malformed) in
                var cursor = JSONCursor(bytes)
                guard try cursor.peek() == UInt8(ascii: "{") else { throw JSONCursor.Malformed() }
                try cursor.members { (key, cursor) throws(JSONCursor.Malformed) in
                    try self.member(key, &cursor, &ranges)
                }
                try cursor.end()
                self.seed = ReplySeed.hash(bytes, ranges.messages, ranges.model)
            }
        }
        try result.get()
        let base = body.readerIndex
        func slice(_ range: Range<Int>) -> ByteBuffer? {
            range.isEmpty ? nil : body.getSlice(at: base + range.lowerBound, length: range.count)
        }
        model = slice(ranges.model)
        serviceTier = slice(ranges.tier)
        toolName = slice(ranges.tool)
    }

    private struct Ranges {
        var model = 0..<0
        var tier = 0..<0
        var tool = 0..<0
        var messages = 0..<0
    }

    private mutating func member(
        _ key: Range<Int>, _ cursor: inout JSONCursor, _ ranges: inout Ranges
    ) throws(JSONCursor.Malformed) {
        switch key.count {
        case 1 where cursor.matches(key, "n"):
            choices = try integer(&cursor, "n", least: 1) ?? 1
            if choices > 128 { wrongParameter = "n" }
        case 5 where cursor.matches(key, "model"):
            guard try cursor.peek() == UInt8(ascii: "\"") else { return try wrong("model", &cursor) }
            ranges.model = try cursor.string()
        case 5 where cursor.matches(key, "tools"): try tools(&cursor, &ranges)
        case 6 where cursor.matches(key, "stream"): stream = try flag(&cursor, "stream")
        case 8 where cursor.matches(key, "messages"):
            guard try cursor.peek() == UInt8(ascii: "[") else { return try wrong("messages", &cursor) }
            let start = cursor.at
            try messages(&cursor)
            ranges.messages = start..<cursor.at
        case 10 where cursor.matches(key, "max_tokens"):
            maxTokens = try integer(&cursor, "max_tokens", least: 1)
        case 10 where cursor.matches(key, "modalities"):
            let range = try cursor.skipValue()
            speaks = ReplySeed.contains(cursor.bytes, range, "\"audio\"")
        case 10 where cursor.matches(key, "prediction"):
            guard try cursor.peek() == UInt8(ascii: "{") else { return try nullOnly(&cursor, "prediction") }
            try cursor.members { (key, cursor) throws(JSONCursor.Malformed) in
                let value = try cursor.skipValue()
                if cursor.matches(key, "content") { self.predictionBytes = value.count }
            }
        case 15 where cursor.matches(key, "response_format"):
            let format = try JSONTree(&cursor)
            if let type = format["type"].text, type.hasPrefix("json") {
                schema = format["json_schema"]["schema"]
            }
        case 18 where cursor.matches(key, "web_search_options"):
            searchesWeb = try cursor.peek() == UInt8(ascii: "{")
            try cursor.skipValue()
        case 11 where cursor.matches(key, "tool_choice"): try choice(&cursor, &ranges)
        case 12 where cursor.matches(key, "service_tier"):
            if try cursor.peek() == UInt8(ascii: "\"") {
                ranges.tier = try cursor.string()
            } else {
                try nullOnly(&cursor, "service_tier")
            }
        case 14 where cursor.matches(key, "stream_options"):
            guard try cursor.peek() == UInt8(ascii: "{") else {
                return try nullOnly(&cursor, "stream_options")
            }
            try cursor.members { (key, cursor) throws(JSONCursor.Malformed) in
                if cursor.matches(key, "include_usage") {
                    self.includeUsage = try self.flag(&cursor, "stream_options.include_usage")
                } else {
                    try cursor.skipValue()
                }
            }
        case 21 where cursor.matches(key, "max_completion_tokens"):
            maxCompletionTokens = try integer(&cursor, "max_completion_tokens", least: 1)
        default: try cursor.skipValue()
        }
    }

    private mutating func messages(_ cursor: inout JSONCursor) throws(JSONCursor.Malformed) {
        var count = 0
        try cursor.elements { (cursor) throws(JSONCursor.Malformed) in
            count += 1
            guard try cursor.peek() == UInt8(ascii: "{") else { return try self.wrong("messages", &cursor) }
            var fromUser = false
            var content = 0..<0
            try cursor.members { (key, cursor) throws(JSONCursor.Malformed) in
                if cursor.matches(key, "role"), try cursor.peek() == UInt8(ascii: "\"") {
                    let role = try cursor.string()
                    fromUser = cursor.matches(role, "user")
                } else if cursor.matches(key, "content") {
                    content = try self.content(&cursor)
                } else {
                    try cursor.skipValue()
                }
            }
            if fromUser { self.lastUserAsksForCall = ReplySeed.contains(cursor.bytes, content, "call") }
        }
        messageCount = count
    }

    /// Counts the text of one message: a string, or an array of parts of which those with `text` count.
    private mutating func content(_ cursor: inout JSONCursor) throws(JSONCursor.Malformed) -> Range<Int> {
        switch try cursor.peek() {
        case UInt8(ascii: "\""):
            let text = try cursor.string()
            promptBytes += text.count
            return text
        case UInt8(ascii: "["):
            let start = cursor.at
            try cursor.elements { (cursor) throws(JSONCursor.Malformed) in
                guard try cursor.peek() == UInt8(ascii: "{") else {
                    return try self.wrong("messages", &cursor)
                }
                try cursor.members { (key, cursor) throws(JSONCursor.Malformed) in
                    if cursor.matches(key, "text"), try cursor.peek() == UInt8(ascii: "\"") {
                        self.promptBytes += try cursor.string().count
                    } else if cursor.matches(key, "input_audio") {
                        self.audioBytes += try cursor.skipValue().count
                    } else {
                        try cursor.skipValue()
                    }
                }
            }
            return start..<cursor.at
        default:
            try nullOnly(&cursor, "messages")
            return 0..<0
        }
    }

    private mutating func tools(
        _ cursor: inout JSONCursor, _ ranges: inout Ranges
    ) throws(JSONCursor.Malformed) {
        guard try cursor.peek() == UInt8(ascii: "[") else { return try nullOnly(&cursor, "tools") }
        let start = cursor.at
        var name = 0..<0
        try cursor.elements { (cursor) throws(JSONCursor.Malformed) in
            let found = try self.functionName(&cursor)
            if name.isEmpty { name = found }
        }
        promptBytes += cursor.at - start
        if ranges.tool.isEmpty { ranges.tool = name }
    }

    private mutating func choice(
        _ cursor: inout JSONCursor, _ ranges: inout Ranges
    ) throws(JSONCursor.Malformed) {
        switch try cursor.peek() {
        case UInt8(ascii: "\""):
            let word = try cursor.string()
            if cursor.matches(word, "none") { toolChoice = .none }
            if cursor.matches(word, "required") { toolChoice = .required }
        case UInt8(ascii: "{"):
            toolChoice = .required
            let name = try functionName(&cursor)
            if !name.isEmpty { ranges.tool = name }
        default: try nullOnly(&cursor, "tool_choice")
        }
    }

    /// `{"type":"function","function":{"name":…}}` → the range of the name.
    private func functionName(_ cursor: inout JSONCursor) throws(JSONCursor.Malformed) -> Range<Int> {
        var name = 0..<0
        guard try cursor.peek() == UInt8(ascii: "{") else {
            try cursor.skipValue()
            return name
        }
        try cursor.members { (key, cursor) throws(JSONCursor.Malformed) in
            guard cursor.matches(key, "function"), try cursor.peek() == UInt8(ascii: "{") else {
                try cursor.skipValue()
                return
            }
            try cursor.members { (key, cursor) throws(JSONCursor.Malformed) in
                if cursor.matches(key, "name"), try cursor.peek() == UInt8(ascii: "\"") {
                    name = try cursor.string()
                } else {
                    try cursor.skipValue()
                }
            }
        }
        return name
    }
}

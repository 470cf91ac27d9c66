/// Gathers an `InspectedRequest` from the parts of `/v1/audio/transcriptions` or `/v1/audio/translations`. The file is
/// measured as it comes and not kept.
struct TranscriptionForm: MultipartVisitor {
    private static let valueBytesMax = 256
    /// Prompts are cut off by upstream far earlier.
    private static let promptBytesMax = 64 << 10
    /// A stretch of audio that is read by itself, when the audio is divided: the window of Whisper.
    private static let stretchMilliseconds: Int64 = 30_000
    /// Names that mean the same to upstream only once.
    private static let single: Set<String> = [
        "file", "model", "response_format", "stream", "language", "prompt", "temperature", "service_tier",
        "chunking_strategy",
    ]
    /// Lists that the model reads beside the audio.
    private static let read: Set<String> = ["keywords", "known_speaker_names"]
    /// Lists that cost nothing.
    private static let free: Set<String> = ["include", "languages", "timestamp_granularities", "user"]

    fileprivate enum Field: Equatable {
        case file, model, responseFormat, stream, prompt, serviceTier
        /// Text of a list.
        case text
        /// Whatever it says, it costs nothing.
        case other
    }

    private var request: InspectedRequest
    private var field = Field.other
    private var value: [UInt8] = []
    private var seen: Set<String> = []
    private var meter = AudioMeter()
    private var isDivided = false

    init(_ endpoint: InspectedEndpoint) {
        self.request = InspectedRequest(endpoint)
        self.request.media = .audioInput
    }

    // MARK: Parts

    mutating func begin(_ part: MultipartPart) throws(RequestRejection) {
        self.value = []
        self.field = try self.field(of: part.name)
        guard part.isFile == (self.field == .file) else {
            throw self.field == .file
                ? .invalid("file", "'file' must be a file: its part needs a filename.")
                : RequestRejection(
                    code: .invalidRequest, param: nil,
                    message: "Only 'file' can be a file: another one would not be measured.")
        }
    }

    private mutating func field(of name: String) throws(RequestRejection) -> Field {
        // Names with brackets are members of lists and objects. A list where one value counts leaves it to upstream
        // which that is.
        let base = String(name.prefix { $0 != "[" })
        if base == "chunking_strategy" { self.isDivided = true }
        if base == "known_speaker_references" {
            throw .invalid(base, "'\(base)' cannot be metered by this gateway: it is audio of its own.")
        }
        if Self.read.contains(base) { return .text }
        if Self.free.contains(base) { return .other }
        guard Self.single.contains(base) else { throw .unknownMember(base) }
        guard base == name || base == "chunking_strategy" else {
            throw .invalid(base, "'\(base)' must be one value, not a list or an object.")
        }
        guard self.seen.insert(name).inserted else { throw .invalid(base, "The form names '\(base)' twice.") }
        switch name {
        case "file": return .file
        case "model": return .model
        case "response_format": return .responseFormat
        case "stream": return .stream
        case "prompt": return .prompt
        case "service_tier": return .serviceTier
        default: return .other
        }
    }

    mutating func take(_ bytes: UnsafeRawBufferPointer) throws(RequestRejection) {
        switch self.field {
        case .file:
            self.meter.feed(bytes)
        case .prompt, .text:
            self.request.textBytes += bytes.count
            guard self.request.textBytes <= Self.promptBytesMax else {
                throw .invalid(
                    "prompt", "The text beside 'file' must have at most \(Self.promptBytesMax) bytes.")
            }
        case .model, .responseFormat, .stream, .serviceTier:
            guard self.value.count + bytes.count <= Self.valueBytesMax else {
                throw .invalid(
                    self.field.name, "'\(self.field.name)' must have at most \(Self.valueBytesMax) bytes.")
            }
            self.value.append(contentsOf: bytes)
        case .other:
            break
        }
    }

    mutating func endPart() throws(RequestRejection) {
        let name = self.field.name
        switch self.field {
        case .file, .prompt, .text, .other:
            return
        case .model, .responseFormat, .stream, .serviceTier:
            break
        }
        guard let text = String(validating: self.value, as: UTF8.self) else {
            throw .invalid(name, "'\(name)' must be UTF-8.")
        }
        switch self.field {
        case .model: self.request.model = text
        case .responseFormat: try self.takeFormat(text)
        case .stream: try self.takeStream(text)
        default: guard text == "default" else { throw .invalid(name, "'\(name)' has no price here.") }
        }
    }

    private mutating func takeFormat(_ format: String) throws(RequestRejection) {
        switch format {
        case "json", "verbose_json", "diarized_json": break
        case "text", "srt", "vtt": self.request.replyIsOpaque = true
        default:
            throw .invalid(
                "response_format",
                "'response_format' must be one of json, text, srt, verbose_json, vtt, diarized_json.")
        }
    }

    private mutating func takeStream(_ text: String) throws(RequestRejection) {
        switch text {
        case "true", "True", "1": self.request.stream = self.request.endpoint == .transcriptions
        case "false", "False", "0", "": break
        default: throw .invalid("stream", "'stream' must be true or false.")
        }
    }

    // MARK: The whole

    mutating func finish() throws(RequestRejection) -> InspectedRequest {
        guard self.seen.contains("file") else { throw .missing("file") }
        guard !self.request.model.isEmpty else { throw .missing("model") }
        switch self.meter.finish() {
        case .failure(let fault):
            throw .invalid("file", "The length of 'file' cannot be measured: \(fault.explanation).")
        case .success(let milliseconds):
            try self.takeLength(milliseconds)
        }
        return self.request
    }

    private mutating func takeLength(_ milliseconds: Int64) throws(RequestRejection) {
        // A file of 25 MiB has no more than some days; far beyond that sums could overflow.
        guard milliseconds <= 1_000_000_000_000 else {
            throw .invalid("file", "The length of 'file' cannot be measured: it is absurd.")
        }
        self.request.inputMilliseconds = (milliseconds + 999) / 1000 * 1000
        guard self.isDivided else { return }
        let stretches = (milliseconds + Self.stretchMilliseconds - 1) / Self.stretchMilliseconds
        self.request.inputs = stretches
        self.request.choices = stretches
    }
}

extension TranscriptionForm.Field {
    fileprivate var name: String {
        switch self {
        case .file: "file"
        case .model: "model"
        case .responseFormat: "response_format"
        case .stream: "stream"
        case .prompt: "prompt"
        case .serviceTier: "service_tier"
        case .text, .other: ""
        }
    }
}

import NIOCore

/// The POST endpoints besides chat completions, which has a parser of its own.
enum MockEndpoint: Equatable {
    case responses, completions, embeddings, moderations, images, speech, transcriptions

    init?(path: ByteBufferView) {
        switch String(decoding: path, as: UTF8.self) {
        case "/v1/responses": self = .responses
        case "/v1/completions": self = .completions
        case "/v1/embeddings": self = .embeddings
        case "/v1/moderations": self = .moderations
        case "/v1/images/generations": self = .images
        case "/v1/audio/speech": self = .speech
        case "/v1/audio/transcriptions": self = .transcriptions
        default: return nil
        }
    }

    /// The member without which there is nothing to do; nil: a model may start from nothing.
    var subject: StaticString? {
        switch self {
        case .responses, .embeddings, .moderations, .speech: "input"
        case .images: "prompt"
        case .transcriptions: "file"
        case .completions: nil
        }
    }
}

/// The document that such an endpoint is sent.
struct EndpointRequest {
    let endpoint: MockEndpoint
    let tree: JSONTree
    let bodyBytes: Int
    /// Hash of the subject and the model: the seed of the reply.
    let seed: UInt64

    init(_ endpoint: MockEndpoint, body: ByteBuffer) throws(JSONCursor.Malformed) {
        self.endpoint = endpoint
        bodyBytes = body.readableBytes
        if endpoint == .transcriptions {
            tree = try MultipartForm.tree(body)
        } else {
            let parsed = body.withUnsafeReadableBytes { bytes -> Result<JSONTree, JSONCursor.Malformed> in
                Result { () throws(JSONCursor.Malformed) in
                    var cursor = JSONCursor(bytes)
                    guard try cursor.peek() == UInt8(ascii: "{") else { throw JSONCursor.Malformed() }
                    let tree = try JSONTree(&cursor)
                    try cursor.end()
                    return tree
                }
            }
            tree = try parsed.get()
        }
        let name = endpoint.subject.map { "\($0)" } ?? "prompt"
        let (subject, model) = (tree[name].json, tree["model"].json)
        seed = ReplySeed.scramble(ReplySeed.fnv((subject + "|" + model).utf8))
    }

    var model: String {
        tree["model"].text ?? (endpoint == .moderations ? "omni-moderation-latest" : "")
    }

    /// Speech has a word of its own for it.
    var stream: Bool {
        switch endpoint {
        case .speech: tree["stream_format"].text == "sse"
        case .embeddings, .moderations: false
        // In a form every value is text.
        case .transcriptions: tree["stream"].text == "true"
        default: tree["stream"].isTrue
        }
    }

    /// Most output tokens of one choice.
    var cap: Int? {
        switch endpoint {
        case .responses: tree["max_output_tokens"].integer
        case .completions: tree["max_tokens"].integer ?? 16
        default: nil
        }
    }

    var choices: Int { max(1, tree["n"].integer ?? 1) }

    /// The first parameter that is missing or has no meaning.
    func refusal() -> ErrorBody? {
        guard !model.isEmpty else { return ErrorBody(400, "you must provide a model parameter") }
        if let subject = endpoint.subject, !tree["\(subject)"].isGiven {
            return ErrorBody(
                400, parts: [.text("Missing required parameter: '"), .text(subject), .text("'.")],
                parameter: subject, code: "missing_required_parameter")
        }
        switch endpoint {
        case .responses where tree["background"].isTrue:
            return ErrorBody(400, "This mock has no background mode.", parameter: "background")
        case .responses where (cap ?? 16) < 16:
            return ErrorBody(
                400, "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16.",
                parameter: "max_output_tokens", code: "integer_below_min_value")
        case .completions where stream && (tree["best_of"].integer ?? 1) > choices:
            return ErrorBody(400, "best_of is not compatible with stream.", parameter: "best_of")
        default: return nil
        }
    }
}

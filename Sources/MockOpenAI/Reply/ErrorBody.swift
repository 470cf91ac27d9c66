import NIOCore

/// OpenAI's error object. `message` may hold raw JSON string contents of the request (already escaped there).
struct ErrorBody {
    var status: Int
    var message: [Part]
    var type: StaticString
    var parameter: StaticString?
    var code: StaticString?

    enum Part {
        case text(StaticString)
        case raw(ByteBuffer)
    }

    init(
        _ status: Int, _ message: StaticString, type: StaticString = "invalid_request_error",
        parameter: StaticString? = nil, code: StaticString? = nil
    ) {
        self.init(status, parts: [.text(message)], type: type, parameter: parameter, code: code)
    }

    init(
        _ status: Int, parts: [Part], type: StaticString = "invalid_request_error",
        parameter: StaticString? = nil, code: StaticString? = nil
    ) {
        self.status = status
        self.message = parts
        self.type = type
        self.parameter = parameter
        self.code = code
    }

    /// `{"error":{…}}` on one line, as in SSE.
    func write(into out: inout ByteBuffer) {
        out.writeStaticString("{\"error\":{\"message\":\"")
        writeMessage(into: &out)
        out.writeStaticString("\",\"type\":\"")
        out.writeStaticString(type)
        out.writeStaticString("\",\"param\":")
        Self.quoted(parameter, &out)
        out.writeStaticString(",\"code\":")
        Self.quoted(code, &out)
        out.writeStaticString("}}")
    }

    /// The indented form of error bodies.
    func writePretty(into out: inout ByteBuffer) {
        out.writeStaticString("{\n  \"error\": {\n    \"message\": \"")
        writeMessage(into: &out)
        out.writeStaticString("\",\n    \"type\": \"")
        out.writeStaticString(type)
        out.writeStaticString("\",\n    \"param\": ")
        Self.quoted(parameter, &out)
        out.writeStaticString(",\n    \"code\": ")
        Self.quoted(code, &out)
        out.writeStaticString("\n  }\n}\n")
    }

    private func writeMessage(into out: inout ByteBuffer) {
        for part in message {
            switch part {
            case .text(let text): out.writeStaticString(text)
            case .raw(let bytes): out.writeImmutableBuffer(bytes)
            }
        }
    }

    private static func quoted(_ text: StaticString?, _ out: inout ByteBuffer) {
        guard let text else {
            out.writeStaticString("null")
            return
        }
        out.writeStaticString("\"")
        out.writeStaticString(text)
        out.writeStaticString("\"")
    }
}

extension ErrorBody {
    static let serverError = ErrorBody(
        500, "The server had an error while processing your request. Sorry about that!", type: "server_error")
    static let noKey = ErrorBody(
        401,
        """
        You didn't provide an API key. You need to provide your API key in an Authorization \
        header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).
        """
    )
    static let wrongKey = ErrorBody(
        401,
        """
        Incorrect API key provided. You can find your API key at \
        https://platform.openai.com/account/api-keys.
        """,
        code: "invalid_api_key")
    static let badJSON = ErrorBody(
        400,
        """
        We could not parse the JSON body of your request. (HINT: This likely means you aren't \
        using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was \
        sent was not valid JSON.)
        """
    )
    static let tooEarly = ErrorBody(
        413, "Refused before the body was read.", code: "request_too_large")

    static func unknownModel(_ name: ByteBuffer) -> ErrorBody {
        ErrorBody(
            404,
            parts: [
                .text("The model `"), .raw(name), .text("` does not exist or you do not have access to it."),
            ],
            code: "model_not_found")
    }

    static func badDirective(_ directive: Behaviour.BadDirective) -> ErrorBody {
        ErrorBody(
            400,
            parts: [
                .text("mock-openai does not know this directive: "), .raw(ByteBuffer(string: directive.key)),
            ],
            code: "mock_bad_directive")
    }

    /// The error that one of the refusal faults stands for; nil for other faults.
    init?(_ faults: Faults, stream: Bool) {
        if faults.contains(.rateLimited) {
            self = ErrorBody(
                429,
                """
                Rate limit reached for requests in organization mock-org on requests per min \
                (RPM): Limit 500, Used 500, Requested 1. Please try again in 1s.
                """,
                type: "requests", code: "rate_limit_exceeded")
        } else if faults.contains(.quotaExhausted) {
            self = ErrorBody(
                429,
                """
                You exceeded your current quota, please check your plan and billing details. \
                For more information on this error, read the docs: \
                https://platform.openai.com/docs/guides/error-codes/api-errors.
                """,
                type: "insufficient_quota", code: "insufficient_quota")
        } else if faults.contains(.serverError) {
            self = .serverError
        } else if faults.contains(.overloaded) {
            self = ErrorBody(
                503, "The engine is currently overloaded, please try again later.", type: "server_error",
                code: "overloaded")
        } else if faults.contains(.unauthorized) {
            self = .wrongKey
        } else if !stream, !faults.isDisjoint(with: [.errorFrame, .errorFrameFirst]) {
            self = .serverError
        } else {
            return nil
        }
    }
}

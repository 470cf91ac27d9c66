import NIOCore

/// Writes response heads with the headers that OpenAI's edge sends.
struct ReplyHead {
    enum Framing: Equatable {
        case length(Int)
        case chunked
        /// The end of the body is the end of the connection.
        case untilClose
    }

    enum ContentType {
        case json, events, lines, audio, text

        fileprivate var text: StaticString {
            switch self {
            case .json: "application/json"
            case .events: "text/event-stream; charset=utf-8"
            case .lines: "application/x-ndjson"
            case .audio: "audio/mpeg"
            case .text: "text/plain; charset=utf-8"
            }
        }
    }

    var status: Int
    var contentType: ContentType
    var framing: Framing
    var keepAlive: Bool
    var gzip = false
    var requestID: (UInt64, UInt64)
    var processingMilliseconds = 1

    /// Present on every API reply.
    private static let fixed: StaticString =
        """
        \r\nopenai-organization: mock-org\
        \r\nopenai-project: proj_mock\
        \r\nopenai-version: 2020-10-01\
        \r\naccess-control-expose-headers: X-Request-ID\
        \r\nset-cookie: __cf_bm=mock.cookie-1.0.1.1; path=/; HttpOnly; Secure; SameSite=None\
        \r\nstrict-transport-security: max-age=31536000; includeSubDomains; preload\
        \r\nx-content-type-options: nosniff\
        \r\nserver: cloudflare\
        \r\ncf-cache-status: DYNAMIC\
        \r\ncf-ray: 9a0000000000mock-FRA
        """

    private static let limits: StaticString =
        """
        \r\nx-ratelimit-limit-requests: 10000\
        \r\nx-ratelimit-limit-tokens: 30000000\
        \r\nx-ratelimit-remaining-requests: 9999\
        \r\nx-ratelimit-remaining-tokens: 29999900\
        \r\nx-ratelimit-reset-requests: 6ms\
        \r\nx-ratelimit-reset-tokens: 0s
        """

    private static let exhausted: StaticString =
        """
        \r\nretry-after: 1\
        \r\nretry-after-ms: 1000\
        \r\nx-ratelimit-limit-requests: 500\
        \r\nx-ratelimit-limit-tokens: 30000000\
        \r\nx-ratelimit-remaining-requests: 0\
        \r\nx-ratelimit-remaining-tokens: 29999900\
        \r\nx-ratelimit-reset-requests: 1s\
        \r\nx-ratelimit-reset-tokens: 0s
        """

    func write(date: ByteBuffer, into out: inout ByteBuffer) {
        out.writeStaticString("HTTP/1.1 ")
        out.writeDecimal(status)
        out.writeStaticString(Self.reason(status))
        out.writeStaticString("\r\ndate: ")
        out.writeImmutableBuffer(date)
        out.writeStaticString("\r\ncontent-type: ")
        out.writeStaticString(contentType.text)
        switch framing {
        case .length(let count):
            out.writeStaticString("\r\ncontent-length: ")
            out.writeDecimal(count)
        case .chunked: out.writeStaticString("\r\ntransfer-encoding: chunked")
        case .untilClose: break
        }
        out.writeStaticString(keepAlive ? "\r\nconnection: keep-alive" : "\r\nconnection: close")
        if gzip { out.writeStaticString("\r\ncontent-encoding: gzip") }
        out.writeStaticString("\r\nx-request-id: req_")
        out.writeHex(requestID.0)
        out.writeHex(requestID.1)
        out.writeStaticString("\r\nopenai-processing-ms: ")
        out.writeDecimal(processingMilliseconds)
        out.writeStaticString(Self.fixed)
        if status == 429 { out.writeStaticString(Self.exhausted) }
        if status == 200 { out.writeStaticString(Self.limits) }
        if status == 503 { out.writeStaticString("\r\nretry-after: 1") }
        out.writeStaticString("\r\n\r\n")
    }

    private static func reason(_ status: Int) -> StaticString {
        switch status {
        case 200: " OK"
        case 400: " Bad Request"
        case 401: " Unauthorized"
        case 404: " Not Found"
        case 405: " Method Not Allowed"
        case 413: " Content Too Large"
        case 429: " Too Many Requests"
        case 431: " Request Header Fields Too Large"
        case 500: " Internal Server Error"
        case 503: " Service Unavailable"
        default: " Unknown"
        }
    }
}

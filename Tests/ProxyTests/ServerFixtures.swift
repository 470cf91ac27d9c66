import NIOCore

/// Requests and upstream replies that the server's tests share.
enum ServerFixtures {
    static let chatBody = "{\"model\":\"gpt-test\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
    static let streamBody = String(chatBody.dropLast()) + ",\"stream\":true}"

    /// A request with a body of known length.
    ///
    /// - Parameter fields: further field lines, each with its CRLF.
    static func post(
        to target: String = "/v1/chat/completions", key: String? = FakeDirectory.key, fields: String = "",
        version: String = "1.1", _ body: String
    ) -> String {
        head(target, key: key, fields: fields + "content-length: \(body.utf8.count)\r\n", version: version)
            + body
    }

    static func head(
        _ target: String = "/v1/chat/completions", key: String? = FakeDirectory.key, fields: String = "",
        version: String = "1.1"
    ) -> String {
        let authorization = key.map { "authorization: Bearer \($0)\r\n" } ?? ""
        return "POST \(target) HTTP/\(version)\r\nhost: proxy\r\n\(authorization)"
            + "content-type: application/json\r\n\(fields)\r\n"
    }

    static func get(
        _ target: String, method: String = "GET", fields: String = "", version: String = "1.1"
    ) -> String {
        "\(method) \(target) HTTP/\(version)\r\nhost: proxy\r\nauthorization: Bearer \(FakeDirectory.key)\r\n"
            + "\(fields)\r\n"
    }

    static let chat = post(chatBody)
    static let stream = post(streamBody)
    static let health = "GET /api/health HTTP/1.1\r\nhost: proxy\r\n\r\n"

    static let chunkedChat =
        head(fields: "transfer-encoding: chunked\r\n") + chunk(chatBody.prefix(10))
        + chunk(chatBody.dropFirst(10))
        + "0\r\nx-trailer: dropped\r\n\r\n"

    static func chunk(_ text: some StringProtocol) -> String {
        "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n"
    }

    // MARK: Upstream

    static let usage = "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}"
    /// What that usage costs under `FakePrices`.
    static let usageCharge = 10 * FakePrices.inputRate + 5 * FakePrices.outputRate

    static let replyBody =
        "{\"id\":\"c1\",\"object\":\"chat.completion\",\"model\":\"gpt-test\",\"choices\":[{\"index\":0,"
        + "\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}],\(usage)}"
    static let reply = upstreamReply(replyBody)

    static func upstreamReply(_ body: String, status: String = "200 OK", fields: String = "") -> String {
        "HTTP/1.1 \(status)\r\ncontent-type: application/json\r\nx-request-id: req_1\r\n\(fields)"
            + "content-length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    static let chunkedReply =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        + chunk(replyBody.prefix(50)) + chunk(replyBody.dropFirst(50)) + "0\r\n\r\n"

    static let streamHead =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    static func frame(_ content: String) -> String {
        "data: {\"model\":\"gpt-test\",\"choices\":[{\"index\":0,"
            + "\"delta\":{\"content\":\"\(content)\"}}]}\n\n"
    }
    static let streamEnd =
        chunk("data: {\"model\":\"gpt-test\",\"choices\":[],\(usage)}\n\n") + chunk("data: [DONE]\n\n")
        + "0\r\n\r\n"
    static let streamReply = streamHead + chunk(frame("hi")) + chunk(frame("there")) + streamEnd
    /// What the client of `stream` gets to see: the injected usage is gone.
    static let streamText = frame("hi") + frame("there") + "data: [DONE]\n\n"

    /// About 64 KiB of frames as one chunk; and the frames in it.
    static let bulk: (chunk: ByteBuffer, frames: Int) = {
        let frame = Self.frame(String(repeating: "x", count: 950))
        let frames = 64
        return (ByteBuffer(string: chunk(String(repeating: frame, count: frames))), frames)
    }()

    /// Answers whatever is asked at once.
    static let answering: @Sendable (UpstreamCall) -> Void = { call in
        call.reply(call.body.holds("\"stream\":true") ? streamReply : reply)
    }
}

import Metering
import NIOCore
import Testing

@testable import Proxy

/// A proxy must not care where TCP cuts the stream: byte by byte every request and every response is the same
/// exchange, with the same bytes for the client and the same settlement.
@Suite(.timeLimit(.minutes(10))) struct ServerSplitTests {
    typealias F = ServerFixtures

    /// What an exchange was, without what is new each time.
    struct Result: Equatable {
        var status: Int
        var interim: [Int]
        var fields: [String]
        var body: String
        var requestUpstream: String?
        var kind: Settlement.Kind?
        var usage: Usage?
        var charge: Charge?
        var because: EstimateReason?
        var requestID: String?
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var request: String
        var reply = F.reply
        /// The reply ends with its connection.
        var closes = false
        var testDescription: String { self.name }
    }

    static let receipt = F.post(fields: "X-Tollgate-Receipt: sse\r\n", F.streamBody)
    static let usageAsked = F.post(
        String(F.streamBody.dropLast()) + ",\"stream_options\":{\"include_usage\":true}}")

    static let cases: [Case] = [
        Case(name: "chat", request: F.chat),
        Case(name: "chat in chunks", request: F.chunkedChat),
        Case(
            name: "chat of a service key",
            request: F.post(key: FakeDirectory.serviceKey, fields: "X-Tollgate-User: ada\r\n", F.chatBody)),
        Case(name: "the runbook's name", request: F.post(to: "/api/ai/chat", F.chatBody)),
        Case(
            name: "lower-case scheme",
            request: F.post(key: nil, fields: "Authorization: bearer \(FakeDirectory.key)\r\n", F.chatBody)),
        Case(name: "stream", request: F.stream, reply: F.streamReply),
        Case(name: "stream with usage", request: Self.usageAsked, reply: F.streamReply),
        Case(name: "stream with receipt", request: Self.receipt, reply: F.streamReply),
        Case(name: "invalid JSON", request: F.post("{\"model\":")),
        Case(name: "unpriced model", request: F.post(F.chatBody.replacing("gpt-test", with: "gpt-none"))),
        Case(name: "unknown key", request: F.post(key: "tg_nobody", "")),
        Case(name: "models", request: F.get("/v1/models")),
        Case(name: "control", request: F.post(to: "/api/echo?a=b", "echoed")),
        Case(
            name: "control in chunks",
            request: F.head("/api/echo", fields: "transfer-encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n"),
        Case(name: "not HTTP", request: "GET / HTTP/1.1\r\nhost: x\r\ncontent-length: +5\r\n\r\n"),
        Case(name: "chunked reply", request: F.chat, reply: F.chunkedReply),
        Case(
            name: "chunked reply with trailers", request: F.chat,
            reply: String(F.chunkedReply.dropLast()) + "x-trailer: dropped\r\n\r\n"),
        Case(
            name: "interim replies", request: F.chat,
            reply: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + F.reply),
        Case(
            name: "close-delimited reply", request: F.chat,
            reply: "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + F.replyBody, closes: true),
        Case(
            name: "close-delimited stream", request: F.stream,
            reply: "HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + F.frame("hi")
                + "data: [DONE]\n\n", closes: true),
        Case(
            name: "stream that is cut", request: F.stream,
            reply: F.streamHead + F.chunk(F.frame("hi")) + "ff\r\nda", closes: true),
        Case(name: "reply that is cut", request: F.chat, reply: String(F.reply.dropLast(30)), closes: true),
        Case(
            name: "fields that do not pass", request: F.chat,
            reply: F.upstreamReply(
                F.replyBody,
                fields:
                    "set-cookie: a=b\r\nopenai-organization: org\r\nopenai-version: 1\r\nserver: x\r\n"
            )),
        Case(
            name: "upstream's 400", request: F.chat,
            reply: F.upstreamReply("{\"error\":{\"code\":\"bad\"}}", status: "400 Bad Request")),
        Case(
            name: "upstream's 429", request: F.chat,
            reply: F.upstreamReply("{}", status: "429 Too Many Requests", fields: "retry-after: 7\r\n")),
        Case(
            name: "upstream's 500", request: F.stream,
            reply: F.upstreamReply("oops", status: "500 Internal Server Error")),
        Case(
            name: "a reply that is not HTTP", request: F.chat,
            reply: "HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nhello"),
    ]

    enum Split: Sendable, CaseIterable { case none, request, reply }

    static func run(_ test: Case, _ split: Split) async throws -> Result {
        let onCall: @Sendable (UpstreamCall) -> Void = { call in
            if split == .reply {
                call.replyByteByByte(test.reply, closes: test.closes)
            } else {
                call.reply(test.reply)
                if test.closes { call.close() }
            }
        }
        var result: Result?
        try await ServerRig.with(onCall: onCall) { rig in
            let client = try await rig.connect()
            if split == .request {
                try await client.sendByteByByte(Array(test.request.utf8))
            } else {
                try await client.send(test.request)
            }
            let reply = try await client.reply()
            let changing = ["date", "x-tollgate-request-id"]
            // The outcome is recorded before the last byte of the reply.
            let settlement = rig.settlements.watched.state.settlements.last
            result = Result(
                status: reply.status, interim: reply.interim,
                fields: reply.fields.filter { !changing.contains($0.name) }.map { "\($0.name): \($0.value)" },
                body: reply.text, requestUpstream: rig.upstream.state.calls.first.map { Self.text($0) },
                kind: settlement?.kind, usage: settlement?.usage, charge: settlement?.charge,
                because: settlement?.estimatedBecause, requestID: settlement?.upstreamRequestID)
        }
        return try #require(result)
    }

    /// Without the port, which is another each time.
    private static func text(_ call: UpstreamCall) -> String {
        call.head.split(separator: "\r\n").filter { !$0.hasPrefix("Host:") }.joined(separator: "\n")
            + call.body
    }

    @Test(arguments: cases) func byteByByteItIsTheSameExchange(_ test: Case) async throws {
        let whole = try await Self.run(test, .none)
        for split in [Split.request, .reply] {
            let cut = try await Self.run(test, split)
            #expect(cut == whole, "cut: \(split)")
        }
    }

    /// What is compared is worth comparing.
    @Test func theFixturesAreWhatTheySay() async throws {
        func status(_ name: String) async throws -> Int {
            let test = try #require(Self.cases.first { $0.name == name })
            return try await Self.run(test, .none).status
        }
        for (name, expected) in [
            ("chat", 200), ("chat in chunks", 200), ("chat of a service key", 200), ("stream", 200),
            ("invalid JSON", 400), ("unpriced model", 404), ("unknown key", 401), ("not HTTP", 400),
            ("interim replies", 200), ("close-delimited reply", 200), ("stream that is cut", 200),
            ("reply that is cut", 502), ("upstream's 400", 400), ("upstream's 429", 429),
            ("upstream's 500", 502), ("a reply that is not HTTP", 502),
        ] {
            #expect(try await status(name) == expected, "\(name)")
        }
    }
}

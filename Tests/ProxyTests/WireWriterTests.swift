import NIOCore
import Testing

@testable import Metering
@testable import Proxy

/// Which fields cross Tollgate is a promise to both sides (CONTRACT §4).
@Suite struct WireWriterTests {
    static func upstreamBytes(
        fields: String, body: String = "{}", edits: [BodyEdit] = [],
        origin: String = "https://api.openai.com/v1"
    ) throws -> String {
        let text =
            "POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: tollgate\r\n"
            + "Content-Length: \(body.utf8.count)\r\n"
            + fields + "\r\n"
        let head = try WireRequestHeadTests.head(text)
        let request = PendingRequest(
            head: head, headBytes: ByteBuffer(string: text), plane: .data(.metered(.chat)),
            bodyBytesMax: 1 << 20)
        var inbox = ByteBuffer(string: body)
        _ = request.take(from: &inbox)
        let out = UpstreamRequest.bytes(
            request, to: .chat, edits: edits, origin: try UpstreamOrigin.parse(origin),
            authorization: Array("Authorization: Bearer sk-operator\r\n".utf8),
            buffers: SpareBuffers())
        return String(buffer: out)
    }

    @Test func theRequestLineAndOurFieldsComeFirst() throws {
        #expect(
            try Self.upstreamBytes(fields: "")
                == "POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\n"
                + "Authorization: Bearer sk-operator\r\nAccept-Encoding: identity\r\n"
                + "Content-Length: 2\r\n\r\n{}"
        )
        #expect(
            try Self.upstreamBytes(fields: "", origin: "http://127.0.0.1:9000")
                .hasPrefix("POST /chat/completions HTTP/1.1\r\nHost: 127.0.0.1:9000\r\n"))
    }

    @Test(arguments: [
        "Authorization: Bearer tg_secret", "Connection: keep-alive", "Keep-Alive: timeout=5",
        "Proxy-Authorization: Basic x", "Proxy-Connection: keep-alive", "TE: trailers", "Trailer: X-A",
        "Upgrade: h2c",
        "Expect: 100-continue", "Accept-Encoding: gzip, br", "Cookie: a=b", "Forwarded: for=1.2.3.4",
        "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Real-IP: 1.2.3.4", "Via: 1.1 x",
        "X-Tollgate-User: u1", "X-Tollgate-Receipt: sse", "x-tollgate-anything: 1",
        "OpenAI-Organization: org-1",
        "OPENAI-PROJECT: proj-1", "Connection: x-mine, close\r\nX-Mine: secret",
        "Connection: X-MINE\r\nx-mine: s",
        "x-mine: s\r\nConnection: x-a\r\nConnection: x-mine",
        // Where else keys are put.
        "api-key: tg_secret", "X-API-Key: tg_secret", "x-goog-api-key: tg_secret", "X-Auth-Token: tg_secret",
        // What a program on the way could believe.
        "CF-Connecting-IP: 1.2.3.4", "True-Client-IP: 1.2.3.4", "X-HTTP-Method-Override: DELETE",
        "X-Original-URL: /v1/files", "X-Rewrite-URL: /v1/files", "Origin: https://a",
        "Referer: https://a/?key=1",
        // What would change the reply.
        "Range: bytes=0-9", "If-None-Match: *", "If-Modified-Since: x", "If-Range: x", "Content-MD5: x",
        "X-Unknown: 1", "x-stainless-: 1", "x-stainless-a_b: 1", "xx-stainless-lang: 1", "content_type: a/b",
        // Two accounts may use the same one.
        "Idempotency-Key: k1",
        // Whose trace it is, is the operator's business.
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate: a=b",
        // Named in Connection, though it would be let through.
        "Connection: accept\r\nAccept: a", "Connection: x-stainless-lang, USER-AGENT\r\nUser-Agent: a",
    ])
    func whatEndsHereOrIsNotSafeDoesNotGoUp(fields: String) throws {
        let bare = try Self.upstreamBytes(fields: "")
        #expect(try Self.upstreamBytes(fields: fields + "\r\n") == bare)
    }

    @Test func endToEndFieldsGoUpAsTheyCame() throws {
        let kept =
            "content-type: application/json\r\nAccept: text/event-stream\r\nUser-Agent:  OpenAI/Python \r\n"
            + "X-Stainless-Lang: python\r\nOpenAI-Beta: a\r\n"
            + "X-Client-Request-Id: r\r\nAccept-Language: en\r\n"
        let last = "x-stainless-retry-count: 0\r\n"
        let out = try Self.upstreamBytes(fields: "Cookie: a\r\n" + kept + "TE: x\r\n" + last)
        #expect(out.hasSuffix("Content-Length: 2\r\n" + kept + last + "\r\n{}"))
    }

    /// Wherever a client presents its key, and whatever else it sends: the upstream gets the listed fields, and no key.
    @Test func aPresentedKeyAppearsNowhereInWhatGoesUp() throws {
        let listed = [
            "content-type", "accept", "accept-language", "user-agent", "openai-beta",
            "x-client-request-id", "x-stainless-lang", "x-stainless-runtime",
        ]
        let others = [
            "authorization", "idempotency-key", "api-key", "x-api-key", "openai-api-key",
            "proxy-authorization", "cookie",
            "x-tollgate-user", "x-tollgate-receipt", "x-auth-token", "referer", "origin", "content-encoding",
            "authorization_", "x-stainless_key", "x-stainless", "x-stainless-", "accept_", "baggage",
            "traceparent", "tracestate",
        ]
        let seed = UInt64.random(in: 0...(.max >> 1))
        var random = SeededRandom(seed: seed)
        for _ in 0..<500 {
            var lines: [(name: String, value: String)] = []
            for name in listed where random.chance(40) { lines.append((name, "v\(lines.count)")) }
            for name in others where random.chance(40) { lines.append((name, "Bearer tg_secret")) }
            // A name that nobody listed.
            let length = Int.random(in: 1...20, using: &random)
            lines.append(
                (
                    String((0..<length).map { _ in random.pick(["a", "e", "x", "-", "_"]) }.joined()),
                    "tg_secret"
                ))
            lines.shuffle(using: &random)
            let ended = random.chance(30) ? lines.prefix(2).map(\.name) : []
            let text = lines.map { line in
                (random.chance(50) ? line.name : line.name.uppercased()) + ": \(line.value)\r\n"
            }
            let connection =
                ended.isEmpty ? "" : "Connection: " + ended.joined(separator: ",").uppercased() + "\r\n"
            let out = try Self.upstreamBytes(fields: connection + text.joined())
            #expect(!out.holds("tg_secret"), "seed \(seed)")
            let expected = zip(lines, text).filter { line, _ in
                listed.contains(line.name) && !ended.contains(line.name)
            }
            #expect(
                out.holds("Content-Length: 2\r\n" + expected.map(\.1).joined() + "\r\n{}"), "seed \(seed)")
        }
    }

    @Test func editsChangeTheBodyAndItsLength() throws {
        let edits = [
            BodyEdit(range: 0..<1, replacement: Array("[".utf8)),
            BodyEdit(range: 2..<2, replacement: Array("1,2".utf8)),
            BodyEdit(range: 4..<5, replacement: []),
        ]
        let out = try Self.upstreamBytes(fields: "", body: "{a:b}", edits: edits)
        #expect(out.hasSuffix("Content-Length: 7\r\n\r\n[a1,2:b"))
    }

    static func downstreamHead(
        _ text: String, framing: ReplyWriter.Framing, close: Bool = false, held: Int64? = nil
    ) throws -> [String] {
        let head = try WireResponseHeadTests.parse(text).head
        var out = ByteBuffer()
        var date = HTTPDate()
        date.update()
        let hold = HoldID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0001)
        var facts = ReplyWriter.Facts(hold: hold)
        facts.held = held.map { Millicredits($0) }
        ReplyWriter.upstreamHead(
            head, bytes: ByteBuffer(string: text), framing: framing, facts: facts,
            persistence: close ? .close : .implied, date: date,
            into: &out)
        let written = String(buffer: out)
        #expect(written.hasSuffix("\r\n\r\n"))
        return written.split(separator: "\r\n", omittingEmptySubsequences: true).map(String.init)
    }

    @Test func onlyTheNamedFieldsComeDown() throws {
        let lines = try Self.downstreamHead(
            "HTTP/1.1 200 OK\r\nServer: cloudflare\r\nDate: x\r\ncontent-type: a/b\r\n"
                + "OpenAI-Organization: org-1\r\n"
                + "openai-project: p\r\nSet-Cookie: a=b\r\nx-ratelimit-limit-requests: 1\r\n"
                + "X-Request-Id: req_1\r\n"
                + "openai-version: v\r\nopenai-processing-ms: 5\r\nretry-after: 1\r\nretry-after-ms: 2\r\n"
                + "cache-control: no-cache\r\nx-should-retry: true\r\n"
                + "Content-Length: 3\r\nConnection: keep-alive\r\n"
                + "cf-ray: z\r\nstrict-transport-security: y\r\n\r\n", framing: .length(3))
        let passed = lines.filter { !$0.hasPrefix("x-tollgate") && !$0.hasPrefix("date: ") }
        #expect(
            passed == [
                "HTTP/1.1 200 OK", "content-type: a/b", "X-Request-Id: req_1", "openai-version: v",
                "openai-processing-ms: 5", "retry-after: 1", "retry-after-ms: 2", "cache-control: no-cache",
                "x-should-retry: true", "content-length: 3",
            ])
        #expect(lines.filter { $0.hasPrefix("date: ") && $0.hasSuffix(" GMT") }.count == 1)
    }

    @Test func framingAndOurFactsAreWritten() throws {
        let text = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 3\r\n\r\n"
        let chunked = try Self.downstreamHead(text, framing: .chunked, close: true, held: 1_234_567)
        #expect(chunked.first == "HTTP/1.1 429 Too Many Requests")
        #expect(chunked.suffix(2) == ["transfer-encoding: chunked", "connection: close"])
        #expect(chunked.contains("x-tollgate-held-millicredits: 1234567"))
        #expect(chunked.contains("x-tollgate-request-id: 01900000-0000-7000-8000-000000000001"))
        let closing = try Self.downstreamHead(text, framing: .closeDelimited, close: true)
        #expect(!closing.contains { $0.hasPrefix("content-length") || $0.hasPrefix("transfer-encoding") })
    }

    @Test(arguments: [0, 7, 10, 99, 100, 65_536, 20_971_520, Int.max]) func numbersAreWrittenExactly(
        value: Int
    ) {
        var out = ByteBuffer()
        out.writeDecimal(value)
        #expect(String(buffer: out) == String(value))
        out.clear()
        out.writeHexadecimal(value)
        #expect(String(buffer: out) == String(value, radix: 16))
    }

    @Test func anEmptyPayloadDoesNotEndAChunkedBody() {
        var out = ByteBuffer()
        ReplyWriter.beginChunk(0, chunked: true, into: &out)
        #expect(out.readableBytes == 0)
    }
}

import Crypto
import Foundation
import MockOpenAI
import Testing

@Suite struct ConnectionTests {
    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        try await withMock { mock in
            let client = try RawClient(port: mock.port)
            let bodies = (1...5).map { MockOpenAIServer.body("hi [[mock tokens=\($0)]]") }
            client.send(bodies.enumerated().map { mock.request($1, close: $0 == 4) }.joined())
            let (bytes, end) = client.readToEnd()
            let text = String(decoding: bytes, as: UTF8.self)
            let counts = text.components(separatedBy: "\"completion_tokens\": ").dropFirst().map {
                Int($0.prefix(1))
            }
            #expect(end == .closed && counts == [1, 2, 3, 4, 5])
        }
    }

    /// The mock must not care where TCP cuts the request either.
    @Test func aRequestMayArriveByteByByte() async throws {
        try await withMock { mock in
            let client = try RawClient(port: mock.port)
            for byte in mock.request(MockOpenAIServer.body("hi [[mock tokens=3]]")) {
                client.send(String(byte))
            }
            let (bytes, end) = client.readToEnd()
            #expect(RawReply(bytes, end).json.int("usage", "completion_tokens") == 3)
        }
    }

    @Test func chunkedBodiesAndExpectContinueAreUnderstood() async throws {
        try await withMock { mock in
            let client = try RawClient(port: mock.port)
            client.send(
                """
                POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer k\r\nExpect: 100-continue\r\n\
                Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n
                """)
            #expect(client.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 100 Continue"))
            let body = MockOpenAIServer.body("hi [[mock tokens=2]]")
            let (first, second) = (body.prefix(30), body.dropFirst(30))
            client.send("\(String(first.utf8.count, radix: 16));x=y\r\n\(first)\r\n")
            client.send("\(String(second.utf8.count, radix: 16))\r\n\(second)\r\n0\r\nTrailer: t\r\n\r\n")
            let (bytes, end) = client.readToEnd()
            #expect(RawReply(bytes, end).json.int("usage", "completion_tokens") == 2)
        }
    }

    @Test(arguments: [
        "nonsense\r\n\r\n", "POST / HTTP/1.1\r\ncontent-length: 1x\r\n\r\n", "GET / HTTP/2\r\n\r\n",
    ])
    func whatIsNotHTTPIsRefused(_ bytes: String) async throws {
        try await withMock { mock in
            let value1 = try mock.exchange(bytes, milliseconds: 3_000).status
            #expect(value1 == 400)
            #expect(mock.stats.requests == 0)
        }
    }

    @Test func theBarrierWithholdsAllRepliesUntilTheRelease() async throws {
        try await withMock { mock in
            let control = "HTTP/1.1\r\nConnection: close\r\nContent-Length: 13\r\n\r\n{\"hold\":true}"
            #expect(try mock.exchange("POST /_mock/barrier \(control)").text.contains("true"))
            let clients = try (0..<10).map { _ in try RawClient(port: mock.port) }
            for client in clients { client.send(mock.request(MockOpenAIServer.body("hi"))) }
            for _ in 0..<6000 where mock.stats.waiting < 10 { try await Task.sleep(for: .milliseconds(5)) }
            #expect(mock.stats.waiting == 10 && mock.stats.requests == 10 && mock.stats.served == 0)
            clients[9].close()
            for _ in 0..<6000 where mock.stats.waiting > 9 { try await Task.sleep(for: .milliseconds(5)) }
            #expect(mock.stats.waiting == 9)
            _ = try mock.exchange("POST /_mock/release HTTP/1.1\r\nConnection: close\r\n\r\n")
            for client in clients.prefix(9) {
                #expect(client.read(until: "system_fingerprint").contains("200 OK"))
            }
            #expect(mock.stats.served == 10 && mock.stats.open == 0)
        }
    }

    /// Tokens per second pace the stream; a peer that leaves is charged in the log for what was sent until
    /// then.
    @Test func aPacedStreamIsLoggedUpToTheDisconnect() async throws {
        try await withMock { mock in
            let client = try RawClient(port: mock.port)
            client.send(
                mock.request(
                    MockOpenAIServer.body("hi [[mock tokens=1000 tps=100 ttft_ms=20]]", stream: true)))
            var seen = ""
            while seen.components(separatedBy: "\"content\":\"").count < 7 {
                seen += client.read(until: "\n\n")
            }
            client.close()
            let row = try await mock.row()
            let sent = row.int("deltas_sent") ?? 0
            #expect((5..<200).contains(sent) && row.int("true_usage", "completion_tokens") == sent)
            #expect(row["completed"] as? Bool == false && row["usage"] is NSNull)
        }
    }

    /// Back-pressure: a reader that does not read keeps the mock from producing.
    @Test func aSlowReaderStopsTheProduction() async throws {
        try await withMock { mock in
            let client = try RawClient(port: mock.port)
            client.send(mock.request(MockOpenAIServer.body("hi [[mock tokens=1000000]]", stream: true)))
            try await Task.sleep(for: .milliseconds(300))
            client.close()
            let value2 = try await mock.row().int("deltas_sent") ?? .max
            #expect(value2 < 200_000)
        }
    }

    @Test func theLogIsExactAndSurvivesHTTP() async throws {
        try await withMock { mock in
            let body = MockOpenAIServer.body(
                "hi [[mock tokens=3]]", stream: true, extra: ",\"service_tier\":\"flex\"")
            let reply = try mock.exchange(mock.request(body))
            let log = try mock.exchange("GET /_mock/log HTTP/1.1\r\nConnection: close\r\n\r\n")
            #expect(log.header("content-type") == "application/x-ndjson" && log.isWhole)
            let row = log.json
            func hex(_ bytes: some DataProtocol) -> String {
                SHA256.hash(data: bytes).map { String(format: "%02x", $0) }.joined()
            }
            #expect(row.string("request_id") == reply.header("x-request-id"))
            #expect(row.string("body_sha256") == hex(Array(body.utf8)))
            #expect(row.string("reply_sha256") == hex(reply.body))
            #expect(row.string("authorization_seen") == String(hex(Array("sk-test".utf8)).prefix(8)))
            #expect(row.string("service_tier") == "flex" && row["include_usage"] as? Bool == true)
            #expect(row["usage"] as? NSDictionary == reply.chunks.last?["usage"] as? NSDictionary)
            #expect(row.int("seq") == 1 && row.int("deltas_sent") == 3 && row["completed"] as? Bool == true)
            _ = try mock.exchange("POST /_mock/reset HTTP/1.1\r\nConnection: close\r\n\r\n")
            #expect(mock.rows.isEmpty && mock.stats.requests == 0)
        }
    }

    @Test func aFullLogSaysSo() async throws {
        try await withMock({ $0.logLimit = 2 }) { mock in
            for _ in 0..<5 { _ = try mock.chat("x") }
            #expect(mock.rows.count == 3 && mock.rows[2].string("error") == "log_overflow")
            #expect(mock.rows[2].int("lost") == 3)
        }
    }

    @Test func theLogCanGoToAFile() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(
            "mock-\(UUID().uuidString).ndjson"
        ).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await withMock({ $0.log = .file(path) }) { mock in
            _ = try mock.chat("x")
            _ = try mock.chat("y", stream: true)
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
            #expect(lines.count == 2 && lines[1].hasPrefix("{\"seq\":2,"))
        }
    }
}

@Suite struct PaceTests {
    /// A directive must not be able to overflow a clock.
    @Test(arguments: ["tps=1e-300", "tps=inf", "tps=-1", "tokens=99999999999999999999", "tps=nan"])
    func absurdPacesAreRefused(_ directive: String) async throws {
        try await withMock { mock in
            let reply = try mock.chat("x [[mock \(directive)]]")
            #expect(reply.status == 400)
        }
    }

    @Test func theSlowestPaceWithTheLongestReplyDoesNotTrap() async throws {
        try await withMock { mock in
            let whole = try mock.chat(
                "x [[mock tps=0.001 tokens=1000000]]", extra: ",\"n\":128", milliseconds: 100)
            #expect(whole.end == .silence)
            // Its head comes at once, as soon as a busy machine lets it.
            for patience: Int32 in [1_000, 30_000] {
                let stream = try mock.chat(
                    "x [[mock tps=0.001 tokens=1000000]]", stream: true, milliseconds: patience)
                #expect(stream.end == .silence)
                if stream.status == 200 { return }
            }
            Issue.record("the head did not come")
        }
    }
}

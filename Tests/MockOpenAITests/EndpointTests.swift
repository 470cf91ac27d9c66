import Foundation
import MockOpenAI
import Testing

/// The endpoints besides chat, as raw bytes; the SDK's view of them is in `test_mock_endpoints.py`.
@Suite struct EndpointTests {
    private static let requests: [(path: String, body: String)] = [
        ("responses", #"{"model":"gpt-4o","input":"Hi [[mock tokens=5 $]]"}"#),
        ("completions", #"{"model":"gpt-3.5-turbo-instruct","prompt":"Hi [[mock tokens=5 $]]"}"#),
        ("embeddings", #"{"model":"text-embedding-3-small","input":"Hi [[mock $]]"}"#),
        ("moderations", #"{"input":"Hi [[mock $]]"}"#),
        ("images/generations", #"{"model":"gpt-image-2","prompt":"Hi [[mock $]]"}"#),
    ]

    /// The log is the oracle of billing tests, so it must say what the wire said.
    @Test(arguments: requests.indices) func theLogHasTheUsageThatWentOut(_ index: Int) async throws {
        let (path, body) = Self.requests[index]
        try await withMock { mock in
            let reply = try mock.post(path, body)
            #expect(reply.status == 200 && reply.isWhole)
            let row = try mock.lastRow()
            #expect(row["path"] as? String == "/v1/\(path)" && row["completed"] as? Bool == true)
            #expect(row["usage"] as? NSDictionary == reply.usage as NSDictionary?)
            #expect((reply.usage == nil) == (path == "moderations"))
        }
    }

    @Test(arguments: requests.indices) func everyEndpointKnowsTheFaults(_ index: Int) async throws {
        let (path, body) = Self.requests[index]
        try await withMock { mock in
            #expect(try mock.post(path, body, "fault=500").status == 500)
            #expect(try mock.post(path, body, "fault=429").header("retry-after") != nil)
            let cut = try mock.post(path, body, "fault=cut_body")
            #expect(!cut.isWhole)
            #expect(try mock.lastRow()["completed"] as? Bool == false)
            #expect(try mock.post(path, body, "fault=split1,no_usage").usage == nil)
            #expect(try mock.lastRow()["usage"] is NSNull)
        }
    }

    /// Clients put events in order by their number.
    @Test func theEventsOfAResponseAreNumberedAndEndWithItsUsage() async throws {
        try await withMock { mock in
            let tools = #""tools":[{"type":"web_search"}],"max_tool_calls":2"#
            let body =
                #"{"model":"gpt-4o","stream":true,\#(tools),"input":"Hi [[mock tokens=4 calls=9 opens=1]]"}"#
            let events = try mock.post("responses", body).chunks
            #expect(events.map { $0["sequence_number"] as? Int } == Array(0..<events.count))
            #expect(events.first?["type"] as? String == "response.created")
            #expect(events.count { $0["type"] as? String == "response.output_text.delta" } == 4)
            let last = try #require(events.last)
            #expect(last["type"] as? String == "response.completed")
            #expect(last.int("response", "usage", "output_tokens") == 4)
            #expect(last.int("response", "tool_usage", "web_search", "num_requests") == 1)
            #expect(try mock.lastRow().int("units", "web_search") == 1)
        }
    }

    /// What broke off consumed what was sent of it.
    @Test func aCutResponseIsLoggedWithItsDeltas() async throws {
        try await withMock { mock in
            let body = #"{"model":"gpt-4o","stream":true,"input":"Hi [[mock tokens=9 fault=cut after=3]]"}"#
            #expect(try !mock.post("responses", body).isWhole)
            let row = try mock.lastRow()
            #expect(row.int("deltas_sent") == 3 && row.int("true_usage", "completion_tokens") == 3)
            #expect(row["usage"] is NSNull)
        }
    }

    @Test func aStoredResponseIsFoundAgain() async throws {
        try await withMock { mock in
            let made = try mock.post("responses", #"{"model":"gpt-4o","input":"Hi"}"#)
            let identifier = try #require(made.json["id"] as? String)
            let head = "HTTP/1.1\r\nAuthorization: Bearer sk-test\r\nConnection: close\r\n\r\n"
            #expect(try mock.exchange("GET /v1/responses/\(identifier) \(head)").body == made.body)
            #expect(try mock.exchange("GET /v1/responses/resp_x \(head)").status == 404)
        }
    }
}

extension MockOpenAIServer {
    /// `$` in the body stands for directives.
    fileprivate func post(_ path: String, _ body: String, _ directives: String = "") throws -> RawReply {
        let request = self.request(body.replacingOccurrences(of: "$", with: directives))
        return try self.exchange(
            request.replacingOccurrences(of: "/v1/chat/completions", with: "/v1/\(path)"))
    }

    /// Of the reply that was read last: its row is in the log before its last byte goes out.
    fileprivate func lastRow() throws -> [String: Any] {
        let line = try #require(self.logLines.last)
        return (try JSONSerialization.jsonObject(with: Data(line.utf8))) as? [String: Any] ?? [:]
    }
}

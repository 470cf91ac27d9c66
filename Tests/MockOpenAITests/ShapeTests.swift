import Foundation
import MockOpenAI
import Testing

@Suite struct ShapeTests {
    @Test func aReplyHasOpenAIsShapeAndHeaders() async throws {
        try await withMock { mock in
            let reply = try mock.chat("hello [[mock tokens=5]]")
            #expect(reply.status == 200 && reply.isWhole)
            #expect(reply.header("content-type") == "application/json")
            #expect(reply.header("openai-version") == "2020-10-01")
            #expect(reply.header("server") == "cloudflare")
            #expect(reply.header("x-ratelimit-remaining-tokens") != nil && reply.header("date") != nil)
            #expect(reply.header("x-request-id")?.count == 36)
            #expect(reply.json["object"] as? String == "chat.completion")
            #expect(reply.json["model"] as? String == "gpt-4o-mini-2024-07-18")
            #expect(reply.json["service_tier"] as? String == "default")
            #expect(reply.json.int("usage", "completion_tokens") == 5)
            // ceil(23 content bytes / 4) + 4 + 3
            #expect(reply.json.int("usage", "prompt_tokens") == 13)
            #expect(reply.json.int("usage", "total_tokens") == 18)
            let choice = try #require((reply.json["choices"] as? [[String: Any]])?.first)
            #expect(choice["finish_reason"] as? String == "stop" && choice["logprobs"] is NSNull)
        }
    }

    /// `usage` appears in streams only when asked for, and then as null on every other chunk.
    @Test(arguments: [true, false]) func usageInStreamsOnlyWhenAskedFor(_ asked: Bool) async throws {
        try await withMock { mock in
            let reply = try mock.chat("hi [[mock tokens=4]]", stream: true, usage: asked)
            #expect(reply.isWhole && reply.header("content-type") == "text/event-stream; charset=utf-8")
            #expect(reply.frames.last == "[DONE]" && reply.deltas.count == 4)
            #expect(reply.chunks.count == (asked ? 7 : 6))
            let nulls = reply.chunks.filter { $0["usage"] is NSNull }.count
            #expect(nulls == (asked ? 6 : 0))
            let objects = reply.chunks.filter { $0.int("usage", "completion_tokens") == 4 }
            #expect(objects.count == (asked ? 1 : 0))
            if asked { #expect((reply.chunks.last?["choices"] as? [Any])?.isEmpty == true) }
            #expect(
                reply.frames[0].contains(
                    "\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}"))
        }
    }

    @Test func usageCountsAllChoices() async throws {
        try await withMock { mock in
            let whole = try mock.chat("hi [[mock tokens=6]]", extra: ",\"n\":3")
            #expect(whole.json.int("usage", "completion_tokens") == 18)
            #expect((whole.json["choices"] as? [Any])?.count == 3)
            let stream = try mock.chat("hi [[mock tokens=6]]", stream: true, extra: ",\"n\":3")
            #expect(stream.deltas.count == 18)
            #expect(stream.chunks.last?.int("usage", "completion_tokens") == 18)
        }
    }

    @Test func theCapCoversReasoningFirst() async throws {
        try await withMock { mock in
            let reply = try mock.chat(
                "hi [[mock tokens=50 reasoning=10]]", model: "gpt-5-mini",
                extra: ",\"max_completion_tokens\":30")
            #expect(reply.json.int("usage", "completion_tokens") == 30)
            #expect(reply.json.int("usage", "completion_tokens_details", "reasoning_tokens") == 10)
            #expect(reply.text.contains("\"finish_reason\": \"length\""))
            let value1 = try await mock.row().int("cap")
            #expect(value1 == 30)
        }
    }

    @Test(arguments: [true, false]) func toolsAreCalledWhenTheUserAsksForIt(_ stream: Bool) async throws {
        let tools =
            ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{}}}]"
        try await withMock { mock in
            let reply = try mock.chat("call it [[mock tokens=5]]", stream: stream, extra: tools)
            #expect(reply.text.contains("get_weather") && reply.text.contains("tool_calls\""))
            if stream {
                let calls = reply.chunks.flatMap { $0["choices"] as? [[String: Any]] ?? [] }
                    .compactMap { ($0["delta"] as? [String: Any])?["tool_calls"] as? [[String: Any]] }
                    .joined()
                let pieces = calls.compactMap { ($0["function"] as? [String: Any])?["arguments"] as? String }
                #expect(pieces.joined() == "{\"q\":\"tok tok tok \"}" && pieces.count == 6)
            } else {
                #expect(reply.text.contains("\"content\": null"))
            }
            let refused = try mock.chat("call it", stream: stream, extra: tools + ",\"tool_choice\":\"none\"")
            #expect(!refused.text.contains("get_weather"))
        }
    }

    /// Replies depend on messages and model, not on caps, tiers or stream options that a proxy may add.
    @Test func repliesAreDeterministic() async throws {
        try await withMock { mock in
            let one = try mock.chat("same [[mock fixed=1]]")
            let two = try mock.chat("same [[mock fixed=1]]")
            #expect(one.body == two.body)
            let capped = try mock.chat("same [[mock fixed=1]]", extra: ",\"max_tokens\":500")
            #expect(capped.body == one.body)
            let other = try mock.chat("other [[mock fixed=1]]")
            #expect(other.body != one.body)
            let plain = try mock.chat("same [[mock fixed=1]]", stream: true)
            #expect(
                plain.chunks.last?.int("usage", "completion_tokens")
                    == one.json.int("usage", "completion_tokens"))
        }
    }

    @Test func longPromptsReportCachedTokensAndTiersAreEchoed() async throws {
        try await withMock { mock in
            let long = String(repeating: "word ", count: 2_000)
            let value2 = try mock.chat(long).json.int("usage", "prompt_tokens_details", "cached_tokens")
            #expect(value2 == 1_152)
            let value3 =
                try mock.chat("x", extra: ",\"service_tier\":\"flex\"").json["service_tier"] as? String
            #expect(value3 == "flex")
            let value4 =
                try mock.chat("x", extra: ",\"service_tier\":\"auto\"").json["service_tier"] as? String
            #expect(value4 == "default")
            let value5 = try mock.chat("x [[mock tier=priority]]").json["service_tier"] as? String
            #expect(value5 == "priority")
            let forced = try mock.chat("x [[mock prompt=500 cached=77]]")
            #expect(forced.json.int("usage", "prompt_tokens") == 500)
            #expect(forced.json.int("usage", "prompt_tokens_details", "cached_tokens") == 77)
        }
    }

    @Test(
        arguments: [
            (
                "{\"model\":\"nope\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", 404,
                "model_not_found"
            ),
            ("{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],}", 400, nil),
            ("{\"model\":\"gpt-4o\"}", 400, "missing_required_parameter"),
            ("{\"model\":\"gpt-4o\",\"messages\":[]}", 400, "empty_array"),
            ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", 400, nil),
            (
                "{\"model\":\"gpt-4o\",\"n\":0,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", 400,
                "invalid_value"
            ),
            (
                "{\"model\":\"o3\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
                400,
                "unsupported_parameter"
            ),
            (
                """
                {"model":"gpt-4o","max_tokens":5,"max_completion_tokens":5,\
                "messages":[{"role":"user","content":"x"}]}
                """,
                400, "invalid_parameter_combination"
            ),
            (
                "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"[[mock typo=1]]\"}]}",
                400, "mock_bad_directive"
            ),
            ("[" + String(repeating: "[", count: 5_000), 400, nil),
        ] as [(String, Int, String?)])
    func badRequestsGetOpenAIsErrors(_ body: String, _ status: Int, _ code: String?) async throws {
        try await withMock { mock in
            let reply = try mock.exchange(mock.request(body))
            #expect(reply.status == status)
            #expect(reply.error["code"] as? String == code)
            #expect(Set(reply.error.keys) == ["message", "type", "param", "code"])
            #expect(mock.rows.count == 1 && mock.rows[0]["true_usage"] is NSNull)
        }
    }

    @Test func keysAreRequired() async throws {
        try await withMock({ $0.requiredKey = "right" }) { mock in
            let none = try mock.exchange("GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n")
            #expect(none.status == 401)
            let wrong = try mock.chat("x")
            #expect(wrong.status == 401 && wrong.error["code"] as? String == "invalid_api_key")
            let right = try mock.exchange(
                """
                GET /v1/models/gpt-5.4-anything HTTP/1.1\r\nauthorization: bearer \
                right\r\nConnection: close\r\n\r\n
                """
            )
            #expect(right.status == 200 && right.json["id"] as? String == "gpt-5.4-anything")
            let list = try mock.exchange(
                "GET /v1/models HTTP/1.1\r\nAuthorization: Bearer right\r\nConnection: close\r\n\r\n")
            let ids = (list.json["data"] as? [[String: Any]])?.compactMap { $0["id"] as? String } ?? []
            #expect(ids.contains("gpt-4o-mini") && ids.contains("o4-mini"))
        }
    }
}

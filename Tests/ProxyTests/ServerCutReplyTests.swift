import Metering
import NIOCore
import Testing

@testable import Proxy

/// Replies that break off before they tell their usage: what they showed is charged, and the client is told.
@Suite(.timeLimit(.minutes(10))) struct ServerCutReplyTests {
    typealias F = ServerFixtures

    /// One delta of 160 tokens, where five bytes would be one.
    @Test(arguments: [true, false]) func theTextOfACutStreamIsCounted(canCount: Bool) async throws {
        let encodings = canCount ? try SmallEncodings.tables() : EncodingTables()
        try await ServerRig.with(model: "gpt-4o", encodings: encodings) { rig in
            let client = try await rig.send(F.post(F.streamBody.replacing("gpt-test", with: "gpt-4o")))
            let call = try await rig.upstream.call()
            call.reply(F.streamHead + F.chunk(F.frame(String(repeating: "aaaa1", count: 80))))
            try await client.received("aaaa1\"")
            call.close()
            #expect(try await client.reply().text.holds("upstream_error"))
            let settled = try await rig.settled(1)
            #expect(settled[0].estimatedBecause == .upstreamCut)
            let output = settled[0].usage.output
            #expect(canCount ? (145...160).contains(output) : output == 80, "\(output)")
        }
    }

    @Test func anEchoedPromptIsNotChargedAsOutput() async throws {
        try await ServerRig.with { rig in
            let prompt = String(repeating: "x", count: 200)
            let body = "{\"model\":\"text-legacy\",\"prompt\":\"\(prompt)\",\"echo\":true,\"stream\":true}"
            let client = try await rig.send(F.post(to: "/v1/completions", body))
            let call = try await rig.upstream.call()
            let frames = [prompt, "a", "b"].map {
                "data: {\"choices\":[{\"index\":0,\"text\":\"\($0)\",\"finish_reason\":null}]}\n\n"
            }
            call.reply(F.streamHead + F.chunk(frames.joined()))
            try await client.received("\"b\"")
            call.close()
            #expect(try await client.reply().text.hasPrefix(frames.joined()))
            let settled = try await rig.settled(1)
            #expect(settled[0].usage.output == 2 && settled[0].usage.input == 40)
        }
    }

    /// The official SDK's typed events have it.
    @Test(arguments: [4, nil] as [Int?]) func anErrorEventHasTheNextNumber(last: Int?) async throws {
        try await ServerRig.with { rig in
            let body = "{\"model\":\"text-events\",\"input\":\"hi\",\"stream\":true}"
            let client = try await rig.send(F.post(to: "/v1/responses", body))
            let call = try await rig.upstream.call()
            let number = last.map { ",\"sequence_number\":\($0)" } ?? ""
            let event = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"\(number)}\n\n"
            call.reply(F.streamHead + F.chunk(event))
            try await client.received("delta")
            call.close()
            let text = try await client.reply().text
            #expect(
                text.hasPrefix(event + "event: error\ndata: {\"type\":\"error\",\"code\":\"upstream_error\""))
            #expect(text.hasSuffix("\"param\":null,\"sequence_number\":\(last.map { $0 + 1 } ?? 0)}\n\n"))
        }
    }
}

import NIOCore
import Testing

@testable import Proxy

/// Upstream's errors: the customer's own are passed on, the operator's are nobody's business (CONTRACT §4).
@Suite(.timeLimit(.minutes(10))) struct ServerUpstreamErrorTests {
    typealias F = ServerFixtures

    @Test(arguments: [400, 404, 409, 413, 415, 422])
    func whatIsWrongWithTheRequestIsSaidInUpstreamsWords(status: Int) async throws {
        let body = "{\"error\":{\"message\":\"'messages' is too short\",\"code\":\"invalid_value\"}}"
        let onCall: @Sendable (UpstreamCall) -> Void = {
            $0.reply(F.upstreamReply(body, status: "\(status) Bad"))
        }
        try await ServerRig.with(onCall: onCall) { rig in
            let reply = try await rig.ask(F.chat)
            #expect(reply.status == status && reply.text == body)
            #expect(try await rig.settled(1)[0].kind == .void)
        }
    }

    @Test(arguments: [
        "Your organization must be verified to stream this model.",
        "Organization org-AbC123 has been disabled.",
        "Project `proj_X9` does not have access to model `gpt-test`.",
        "Incorrect API key provided: sk-proj-****abcd.",
        "Please go to https://platform.openai.com/settings/organization/limits.",
    ])
    func whatIsWrongWithTheOperatorsAccountIsNotSaid(message: String) async throws {
        let body = "{\"error\":{\"message\":\"\(message)\",\"code\":\"unsupported_value\"}}"
        let onCall: @Sendable (UpstreamCall) -> Void = {
            $0.reply(F.upstreamReply(body, status: $0.body.holds("stream") ? "404 Not Found" : "400 Bad"))
        }
        try await ServerRig.with(onCall: onCall) { rig in
            for (index, request) in [F.chat, F.stream].enumerated() {
                let reply = try await rig.ask(request)
                #expect(reply.status == 502 && reply.code == "upstream_error")
                #expect(!reply.text.holds(message))
                #expect(try await rig.settled(index + 1)[index].kind == .void)
            }
        }
    }
}

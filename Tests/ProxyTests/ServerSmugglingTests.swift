import NIOCore
import Testing

@testable import Proxy

/// The corpus against the live server: a request that two programs could read in two ways is refused once,
/// and nothing behind it is looked at; a response like that is not believed, and its connection not used
/// again.
@Suite(.timeLimit(.minutes(10))) struct ServerSmugglingTests {
    typealias F = ServerFixtures

    private static func isRejected(_ test: SmugglingCase) -> Bool { test.expected == .rejected }

    // MARK: Requests

    /// The same bytes for the data plane, with a key, so that they get as far as the body.
    private static func forDataPlane(_ test: SmugglingCase) -> [UInt8] {
        var bytes = test.bytes
        for (old, new) in [
            ("POST /api/x ", "POST /v1/chat/completions "),
            ("Host: h\r\n", "Host: h\r\nAuthorization: Bearer \(FakeDirectory.key)\r\n"),
        ] {
            let (old, new) = (Array(old.utf8), Array(new.utf8))
            if let end = bytes.end(of: old) { bytes.replaceSubrange(end - old.count..<end, with: new) }
        }
        return bytes
    }

    @Test(arguments: SmugglingCorpus.requests.filter(isRejected))
    func aRequestGetsOneRefusalAndNothingBehindItIsRead(_ test: SmugglingCase) async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            for bytes in [test.bytes, Self.forDataPlane(test)] {
                for isSplit in [false, true] {
                    let client = try await rig.connect()
                    // The refusal can come, and the connection end, before the last byte is sent.
                    for piece in isSplit ? bytes.map({ [$0] }) : [bytes] { client.offer(piece) }
                    let reply = try await client.reply()
                    #expect((400...499).contains(reply.status) && reply.status != 401 && reply.status != 408)
                    #expect(reply.closes)
                    #expect(try await client.end() == "", "one refusal, and nothing else")
                }
            }
            #expect(rig.control.watched.state.requests.isEmpty)
            #expect(rig.store.watched.state.placed == 0, "nothing goes upstream without a hold")
        }
    }

    @Test(arguments: SmugglingCorpus.requests.filter { !isRejected($0) })
    func aRequestThatIsUnusualAndCleanIsServed(_ test: SmugglingCase) async throws {
        guard case .accepted(let bodies) = test.expected else { return }
        try await ServerRig.with { rig in
            let client = try await rig.connect()
            client.offer(test.bytes)
            for body in bodies {
                let reply = try await client.reply()
                #expect(reply.status == 200 && reply.text == body)
            }
            // The next one begins where the last one ended.
            try await client.send(F.health)
            #expect(try await client.reply().text == "{\"ok\":true}")
        }
    }

    // MARK: Responses

    @Test(arguments: SmugglingCorpus.responses.filter(isRejected))
    func aResponseIsNotBelievedAndItsConnectionNotUsedAgain(_ test: SmugglingCase) async throws {
        try await ServerRig.with { rig in
            let client = try await rig.send(F.chat)
            let first = try await rig.upstream.call(0)
            first.send(test.bytes)
            let reply = try await client.reply()
            #expect(reply.status == 502 && reply.code == "upstream_error")
            try await Self.expectFreshConnection(rig, client, first)
        }
    }

    static let trailing: [SmugglingCase] = [
        SmugglingCase("a second response", F.reply + F.upstreamReply("stolen")),
        SmugglingCase("a line end", F.reply + "\r\n"),
        SmugglingCase("a body of a 204", "HTTP/1.1 204 No Content\r\n\r\nstolen"),
        SmugglingCase("a body behind the last chunk", F.chunkedReply + "stolen"),
    ]

    /// Bytes behind a response would be taken for the response to the next request, which may be another
    /// user's.
    @Test(arguments: trailing) func bytesBehindAResponseReachNobody(_ test: SmugglingCase) async throws {
        try await ServerRig.with { rig in
            let client = try await rig.send(F.chat)
            let first = try await rig.upstream.call(0)
            first.send(test.bytes)
            let reply = try await client.reply()
            #expect([200, 204, 502].contains(reply.status) && !reply.text.holds("stolen"))
            try await Self.expectFreshConnection(rig, client, first)
        }
    }

    /// The next request of the same client goes over another connection and is answered well.
    private static func expectFreshConnection(
        _ rig: ServerRig, _ client: WireClient, _ first: UpstreamCall
    ) async throws {
        try await client.send(F.chat)
        let second = try await rig.upstream.call(1)
        #expect(second.connection != first.connection)
        second.reply(F.reply)
        #expect(try await client.reply().text == F.replyBody)
    }
}

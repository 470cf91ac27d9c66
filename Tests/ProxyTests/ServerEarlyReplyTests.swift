import NIOCore
import Testing

@testable import Proxy

/// Who may not send a body is told so on its head, and sees it: a reset behind the reply would take it away
/// again.
@Suite(.timeLimit(.minutes(10))) struct ServerEarlyReplyTests {
    typealias F = ServerFixtures

    struct Refused: Sendable, CustomTestStringConvertible {
        var name: String
        var head: String
        var status: Int
        var code: String
        var testDescription: String { self.name }
    }

    static let length = "content-length: 100000\r\n"
    static let chunked = "transfer-encoding: chunked\r\n"

    static let refused = [
        Refused(name: "no key", head: F.head(key: nil, fields: length), status: 401, code: "invalid_api_key"),
        Refused(
            name: "no key, chunked", head: F.head(key: nil, fields: chunked), status: 401,
            code: "invalid_api_key"),
        Refused(
            name: "malformed key", head: F.head(key: "sk-foreign", fields: length), status: 401,
            code: "invalid_api_key"),
        Refused(
            name: "no Bearer",
            head: F.head(key: nil, fields: "authorization: Basic dGdfYWRhOg==\r\n" + length),
            status: 401, code: "invalid_api_key"),
        Refused(
            name: "unknown key", head: F.head(key: "tg_nobody", fields: length), status: 401,
            code: "invalid_api_key"),
        Refused(
            name: "key too long",
            head: F.head(key: "tg_" + String(repeating: "x", count: 300), fields: length),
            status: 401, code: "invalid_api_key"),
        Refused(
            name: "suspended", head: F.head(key: FakeDirectory.suspendedKey, fields: length), status: 403,
            code: "account_suspended"),
        Refused(
            name: "service key without user", head: F.head(key: FakeDirectory.serviceKey, fields: length),
            status: 400, code: "invalid_request"),
        Refused(
            name: "another's account", head: F.head(fields: "x-tollgate-user: bob\r\n" + length), status: 403,
            code: "not_your_account"),
        Refused(
            name: "unmetered", head: F.head("/v1/assistants", fields: length), status: 404,
            code: "endpoint_not_metered"),
        Refused(
            name: "method", head: F.get("/v1/chat/completions", method: "PUT", fields: length), status: 405,
            code: "method_not_allowed"),
        Refused(
            name: "compressed", head: F.head(fields: "content-encoding: gzip\r\n" + length), status: 415,
            code: "unsupported_encoding"),
        Refused(
            name: "the runbook's name", head: F.head("/api/ai/chat", key: "tg_nobody", fields: length),
            status: 401, code: "invalid_api_key"),
    ]

    @Test(arguments: refused) func aRefusalDoesNotWaitForTheBody(_ refused: Refused) async throws {
        try await ServerRig.with { rig in
            for isCold in [false, true] {
                rig.directory.watched.update { $0.isCold = isCold }
                let client = try await rig.send(refused.head)
                let reply = try await client.reply()
                #expect(reply.status == refused.status && reply.code == refused.code)
                #expect(reply.closes, "the body that is still to come would be taken for a request")
                #expect(try await client.end() == "")
            }
            #expect(rig.store.watched.state.placed == 0)
            #expect(rig.upstream.state.connections == 0)
        }
    }

    /// With the whole body there already nothing is in the way of the next request.
    @Test func aRefusalAfterAWholeBodyKeepsTheConnection() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            let client = try await rig.connect()
            for body in [F.chatBody, ""] {
                try await client.send(F.post(key: "tg_nobody", body) + F.chat)
                let refused = try await client.reply()
                #expect(refused.status == 401 && !refused.closes)
                #expect(try await client.reply().status == 200)
            }
        }
    }

    // MARK: While the body is on its way

    /// The client sends on for megabytes, as most do, and only then reads.
    @Test func theReplyReachesAClientThatIsStillSending() async throws {
        try await ServerRig.with { rig in
            for isCold in [false, true] {
                rig.directory.watched.update { $0.isCold = isCold }
                let client = try await rig.connect()
                try await client.pause()
                let body = [UInt8](repeating: 0x20, count: 8 << 20)
                try await client.send(
                    F.head(key: "tg_nobody", fields: "content-length: \(2 * body.count)\r\n"))
                // Returns when the kernel took it all, most of it after the reply was sent.
                try await client.send(body)
                try await client.resume()
                let reply = try await client.reply()
                #expect(reply.status == 401 && reply.closes)
                #expect(try await client.end() == "")
                #expect(!client.state.sawReset)
            }
        }
    }

    @Test func bytesAreThrownAwayOnlyUpToALimit() async throws {
        try await ServerRig.with(configure: {
            $0.limits.lingeringBytesMax = 1 << 20
            $0.timeouts.lingering = .seconds(30)
        }) { rig in
            let client = try await rig.send(F.head(key: "tg_nobody", fields: Self.length))
            #expect(try await client.reply().status == 401)
            client.offer([UInt8](repeating: 0x20, count: 32 << 20))
            try await rig.eventually("it is closed") { rig.connectionsOpen == 0 }
        }
    }

    @Test func aClientThatNeverClosesIsNotWaitedForLong() async throws {
        try await ServerRig.with(configure: { $0.timeouts.lingering = .milliseconds(300) }) { rig in
            let client = try await rig.send(F.head(key: "tg_nobody", fields: Self.length))
            #expect(try await client.reply().status == 401)
            try await rig.eventually("it is closed") { rig.connectionsOpen == 0 }
            #expect(!client.state.isClosed, "it was the server that gave up")
        }
    }

    /// Half a request is on the upstream connection, so nobody may use it again; what upstream says goes on.
    @Test func upstreamThatRefusesBeforeItReadAllIsHeard() async throws {
        let refusal = F.upstreamReply("{\"error\":{\"code\":\"too_long\"}}", status: "413 Content Too Large")
        try await ServerRig.with(earlyReply: refusal) { rig in
            let body = F.chatBody + String(repeating: " ", count: 16 << 20)
            let reply = try await rig.ask(F.post(body))
            #expect(reply.status == 413 && reply.code == "too_long")
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.kind == .void, "a complete error before any output is free")
            await rig.upstream.resumeReading()
            #expect(await rig.upstream.watched.until { $0.open == 0 }, "not kept")
            #expect(rig.upstream.state.connections == 1)
        }
    }

    // MARK: Expect: 100-continue

    @Test func aClientThatAsksFirstIsToldToGoOn() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            for isCold in [false, true] {
                rig.directory.watched.update { $0.isCold = isCold }
                for target in ["/v1/chat/completions", "/api/echo"] {
                    let length = "content-length: \(F.chatBody.utf8.count)\r\n"
                    let client = try await rig.send(
                        F.head(target, fields: "expect: 100-continue\r\n" + length))
                    try await client.received("HTTP/1.1 100 Continue\r\n\r\n")
                    try await client.send(F.chatBody)
                    let reply = try await client.reply()
                    #expect(reply.interim == [100] && reply.status == 200)
                }
            }
        }
    }

    /// Nobody needs to be told to go on who has gone on.
    @Test func aClientThatDoesNotWaitGetsNoInterimReply() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            let reply = try await rig.ask(F.post(fields: "expect: 100-continue\r\n", F.chatBody))
            #expect(reply.interim == [] && reply.status == 200)
        }
    }

    @Test(arguments: refused) func aRefusalComesInsteadOf100(_ refused: Refused) async throws {
        try await ServerRig.with { rig in
            let fields = refused.head.dropLast() + "expect: 100-continue\r\n\r\n"
            let client = try await rig.send(String(fields))
            let reply = try await client.reply()
            #expect(reply.interim == [] && reply.status == refused.status && reply.closes)
        }
    }

    /// HTTP/1.0 knows no interim replies (RFC 9110 §10.1.1).
    @Test func http10IsNeverToldToGoOn() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            let length = "content-length: \(F.chatBody.utf8.count)\r\n"
            let client = try await rig.send(
                F.head(fields: "expect: 100-continue\r\n" + length, version: "1.0"))
            #expect(await !client.watched.until(within: .milliseconds(50)) { $0.bytesReceived > 0 })
            try await client.send(F.chatBody)
            let reply = try await client.reply()
            #expect(reply.interim == [] && reply.status == 200)
        }
    }

    @Test func anotherExpectationIsA417() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            for target in ["/v1/chat/completions", "/api/echo"] {
                let client = try await rig.send(
                    F.post(to: target, fields: "expect: the-unexpected\r\n", F.chatBody))
                let reply = try await client.reply()
                #expect(reply.status == 417)
            }
        }
    }
}

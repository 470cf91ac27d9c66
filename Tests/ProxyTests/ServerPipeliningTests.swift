import NIOCore
import Testing

@testable import Proxy

/// Requests of one connection are answered one at a time and in order, whoever answers them, and nothing of
/// one gets into the next.
@Suite(.timeLimit(.minutes(10))) struct ServerPipeliningTests {
    typealias F = ServerFixtures

    @Test func requestsInOnePacketAreAnsweredInOrder() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            rig.directory.watched.update { $0.isCold = true }
            let echo = F.post(to: "/api/echo", "echoed")
            let client = try await rig.send(
                F.chat + F.health + F.stream + echo + F.chunkedChat + F.get("/v1/models")
                    + F.get("/api/chunked"))
            #expect(try await client.reply().text == F.replyBody)
            #expect(try await client.reply().text == "{\"ok\":true}")
            #expect(try await client.reply().text == F.streamText)
            #expect(try await client.reply().text == "echoed")
            #expect(try await client.reply().text == F.replyBody)
            #expect(try await client.reply().text.holds("\"gpt-test\""))
            #expect(try await client.reply().text == "one two three")
            #expect(try await rig.settled(3).count == 3)
            #expect(rig.upstream.state.connections == 1, "kept for the requests that followed")
        }
    }

    /// The first answer comes last; the second request must not overtake it.
    @Test func aRequestWaitsForTheReplyBeforeIt() async throws {
        try await ServerRig.with { rig in
            let client = try await rig.send(F.get("/api/held") + F.chat + F.health)
            try await rig.eventually("the first is running") { !rig.control.watched.state.requests.isEmpty }
            #expect(await !client.watched.until(within: .milliseconds(50)) { $0.bytesReceived > 0 })
            #expect(rig.upstream.state.connections == 0, "nothing is begun ahead")
            rig.control.release()
            #expect(try await client.reply().text == "released")
            let call = try await rig.upstream.call()
            #expect(rig.control.watched.state.requests.count == 1)
            call.reply(F.reply)
            #expect(try await client.reply().text == F.replyBody)
            #expect(try await client.reply().text == "{\"ok\":true}")
        }
    }

    @Test func aBadRequestBehindGoodOnesEndsTheConnectionBehindTheirReplies() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            let client = try await rig.send(
                F.chat + F.health + "GET /api/health HTTP/1.1\r\nhost : x\r\n\r\n" + F.health)
            #expect(try await client.reply().text == F.replyBody)
            #expect(try await client.reply().text == "{\"ok\":true}")
            let last = try await client.reply()
            #expect(last.status == 400 && last.closes)
            #expect(try await client.end() == "")
        }
    }

    /// A client that pipelines without end is left in its socket; it costs no memory and no stack.
    @Test func hundredsOfPipelinedRequestsAreAllAnswered() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            let client = try await rig.connect()
            let count = 200
            let padded = F.post(F.chatBody + String(repeating: " ", count: 1000))
            client.offer(Array(String(repeating: padded + F.get("/v1/models"), count: count).utf8))
            for _ in 0..<count {
                #expect(try await client.reply().text == F.replyBody)
                #expect(try await client.reply().text.holds("gpt-test"))
            }
            #expect(try await rig.settled(count).count == count)
        }
    }

    /// A GET may have a body. Whoever could make it the next request would speak in the name of whoever shares the
    /// connection behind a load balancer.
    @Test(arguments: ["/v1/models", "/v1/models/gpt-test", "/v1/models/none", "/v1/none", "/api/health"])
    func aBodyThatNobodyAskedForIsNotTheNextRequest(target: String) async throws {
        let smuggled = F.get("/api/smuggled")
        let chunked = F.chunk(smuggled) + "0\r\n\r\n"
        for isCold in [false, true] {
            try await ServerRig.with { rig in
                for method in ["GET", "HEAD"] {
                    for (fields, body) in [
                        ("content-length: \(smuggled.utf8.count)\r\n", smuggled),
                        ("transfer-encoding: chunked\r\n", chunked),
                    ] {
                        rig.directory.watched.update { $0.isCold = isCold }
                        let request = F.get(target, method: method, fields: fields)
                        let client = try await rig.send(request + body + F.health)
                        let reply = try await client.reply(headOnly: method == "HEAD")
                        if !reply.closes { #expect(try await client.reply().text == "{\"ok\":true}") }
                        await client.close()
                        // The body comes later, or never: then nothing comes behind it either.
                        for part in ["", String(body.prefix(10))] {
                            let late = try await rig.send(request + part)
                            _ = try? await late.reply(headOnly: method == "HEAD", within: .milliseconds(200))
                            await late.close()
                        }
                    }
                }
                #expect(!rig.control.watched.state.requests.contains { $0.holds("/api/smuggled") })
                #expect(rig.count(status: 400) == 0)
            }
        }
    }

    // MARK: HEAD, HTTP/1.0, close

    @Test func theReplyToHeadHasNoBody() async throws {
        try await ServerRig.with { rig in
            let targets = [
                "/v1/models", "/api/health", "/api/chunked", "/v1/models/gpt-test", "/v1/models/none",
            ]
            let client = try await rig.send(
                targets.map { F.get($0, method: "HEAD") }.joined() + F.health)
            for target in targets {
                let head = try await client.reply(headOnly: true)
                let get = try await rig.ask(F.get(target))
                #expect(head.status == get.status)
                #expect(head["content-length"] == get["content-length"] && head.body.isEmpty)
            }
            #expect(try await client.reply().text == "{\"ok\":true}")
        }
    }

    @Test func http10ClosesUnlessAskedNotTo() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            for version in ["1.0", "1.1"] {
                for connection in ["", "connection: keep-alive\r\n", "connection: close\r\n"] {
                    let keeps = connection.isEmpty ? version == "1.1" : connection.hasSuffix("alive\r\n")
                    for request in [
                        F.post(fields: connection, version: version, F.chatBody),
                        F.get("/v1/models", fields: connection, version: version),
                        F.get("/api/health", fields: connection, version: version),
                    ] {
                        let client = try await rig.send(request)
                        let reply = try await client.reply()
                        #expect(reply.status == 200 && reply.closes == !keeps, "\(version) \(connection)")
                        guard keeps else {
                            #expect(try await client.end() == "")
                            continue
                        }
                        try await client.send(F.health)
                        #expect(try await client.reply().status == 200)
                    }
                }
            }
        }
    }

    /// A client that asked to keep the connection must be told whether it is.
    @Test func http10ThatIsKeptIsToldSo() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            let fields = "connection: keep-alive\r\n"
            for request in [
                F.post(fields: fields, version: "1.0", F.chatBody),
                F.get("/v1/models", fields: fields, version: "1.0"),
                F.get("/api/health", fields: fields, version: "1.0"),
            ] {
                let reply = try await rig.ask(request)
                #expect(reply.status == 200 && reply["connection"] == "keep-alive")
            }
        }
    }

    /// HTTP/1.0 knows no chunks: a reply of unknown length ends with the connection.
    @Test func aStreamToHTTP10EndsWithTheConnection() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            for connection in ["", "connection: keep-alive\r\n"] {
                let stream = F.post(fields: connection, version: "1.0", F.streamBody)
                let reply = try await rig.ask(stream)
                #expect(!reply.isChunked && reply.closes && reply.text == F.streamText)
                let control = try await rig.ask(F.get("/api/chunked", fields: connection, version: "1.0"))
                #expect(!control.isChunked && control.closes && control.text == "one two three")
            }
        }
    }

    /// Upstream may name a length where nobody needs one; HTTP/1.0 still cannot be told the end of a stream otherwise.
    @Test func aStreamOfKnownLengthToHTTP10EndsWithTheConnection() async throws {
        let text = F.frame("hi") + "data: {\"choices\":[],\(F.usage)}\n\ndata: [DONE]\n\n"
        let onCall: @Sendable (UpstreamCall) -> Void = { call in
            call.reply(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                    + "content-length: \(text.utf8.count)\r\n\r\n\(text)")
        }
        try await ServerRig.with(onCall: onCall) { rig in
            let fields = "connection: keep-alive\r\n"
            let client = try await rig.send(F.post(fields: fields, version: "1.0", F.streamBody) + F.health)
            let reply = try await client.reply()
            #expect(reply.closes && reply.text == F.frame("hi") + "data: [DONE]\n\n")
            #expect(try await client.end() == "")
        }
    }

    /// A redirect is not followed, and a success without a body says nothing of its cost: neither reaches the client,
    /// and neither leaves bytes behind that it would read as its next reply.
    @Test(arguments: ["204 No Content", "304 Not Modified", "308 Permanent Redirect"])
    func anUpstreamThatAnswersWithoutABodyIsA502(status: String) async throws {
        let onCall: @Sendable (UpstreamCall) -> Void = { call in
            let length = status.hasPrefix("308") ? "content-length: 0\r\n" : ""
            call.reply(
                "HTTP/1.1 \(status)\r\ncontent-type: text/event-stream\r\nlocation: /\r\n\(length)\r\n")
        }
        try await ServerRig.with(onCall: onCall) { rig in
            for (index, request) in [F.chat, F.stream].enumerated() {
                let client = try await rig.send(request + F.health)
                let reply = try await client.reply()
                #expect(reply.status == 502 && reply.code == "upstream_error")
                #expect(try await client.reply().text == "{\"ok\":true}")
                let settlement = try await rig.settled(index + 1)[index]
                #expect(settlement.kind == (status.hasPrefix("204") ? .final : .void))
            }
        }
    }

    /// What comes behind the last request of a connection is not looked at.
    @Test func nothingIsAnsweredBehindAClose() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            for request in [
                F.post(fields: "connection: close\r\n", F.chatBody),
                F.get("/api/health", fields: "connection: close\r\n"),
            ] {
                let client = try await rig.send(request + F.chat + F.health)
                let reply = try await client.reply()
                #expect(reply.status == 200 && reply.closes)
                #expect(try await client.end() == "")
            }
            #expect(rig.upstream.state.calls.count == 1)
        }
    }

    /// A control plane that breaks off must not leave a connection on which the next reply would be its body.
    @Test func aBrokenControlReplyEndsTheConnection() async throws {
        try await ServerRig.with { rig in
            let client = try await rig.send(F.get("/api/broken") + F.health)
            try await client.received("content-length: 10\r\n")
            #expect(!(try await client.end()).holds("{\"ok\""))
        }
    }
}

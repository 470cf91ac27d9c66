import NIOCore
import Testing

@testable import Proxy

/// Requests of one connection are answered one at a time and in order, whoever answers them, and nothing of
/// one gets into the next.
@Suite(.timeLimit(.minutes(3))) struct ServerPipeliningTests {
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

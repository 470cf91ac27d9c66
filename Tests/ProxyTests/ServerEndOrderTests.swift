import Dispatch
import NIOCore
import Testing

@testable import Proxy

/// Whatever a client can take for the end of its reply is sent when the outcome is recorded, and with
/// JOURNAL_SYNC=strict when it is safe (DESIGN §3.8, §6): for each way in which a reply can end, and each split.
@Suite(.timeLimit(.minutes(10))) struct ServerEndOrderTests {
    typealias F = ServerFixtures
    typealias Case = ServerSplitTests.Case
    typealias Split = ServerSplitTests.Split

    static let large = "{\"x\":\"\(String(repeating: "y", count: 5000))\",\(F.usage)}"
    private static let chunkedHead = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    private static let largeInChunks =
        chunkedHead + "transfer-encoding: chunked\r\n\r\n" + F.chunk(large.prefix(3000))
        + F.chunk(large.dropFirst(3000)) + "0\r\n\r\n"
    static let old = F.post(version: "1.0", F.chatBody)
    static let oldStream = F.post(version: "1.0", F.streamBody)
    /// Upstream says `[DONE]` and not that its message has ended.
    static let openEnd = String(F.streamReply.dropLast("0\r\n\r\n".count))

    static let cases: [Case] = [
        Case(name: "chat", request: F.chat),
        Case(name: "chat to HTTP/1.0", request: Self.old),
        Case(name: "chunked reply", request: F.chat, reply: F.chunkedReply),
        Case(
            name: "close-delimited reply", request: F.chat, reply: Self.chunkedHead + "\r\n" + F.replyBody,
            closes: true),
        Case(name: "large reply", request: F.chat, reply: F.upstreamReply(Self.large)),
        Case(name: "large reply in chunks", request: F.chat, reply: Self.largeInChunks),
        Case(name: "large reply in chunks to HTTP/1.0", request: Self.old, reply: Self.largeInChunks),
        Case(
            name: "large close-delimited reply", request: F.chat,
            reply: Self.chunkedHead + "\r\n" + Self.large, closes: true),
        Case(
            name: "large reply that is cut", request: F.chat,
            reply: String(F.upstreamReply(Self.large).dropLast(30)), closes: true),
        Case(
            name: "large reply to HTTP/1.0 that is cut", request: Self.old,
            reply: String(Self.largeInChunks.dropLast(30)), closes: true),
        Case(name: "stream", request: F.stream, reply: F.streamReply),
        Case(name: "stream with receipt", request: ServerSplitTests.receipt, reply: F.streamReply),
        Case(name: "stream to HTTP/1.0", request: Self.oldStream, reply: F.streamReply),
        Case(
            name: "stream without [DONE]", request: F.stream,
            reply: F.streamHead + F.chunk(F.frame("hi")) + "0\r\n\r\n"),
        Case(
            name: "stream whose [DONE] ends with it", request: F.stream,
            reply: F.streamHead + F.chunk(F.frame("hi") + "data: [DONE]") + "0\r\n\r\n"),
        Case(name: "stream that is cut behind [DONE]", request: F.stream, reply: Self.openEnd, closes: true),
        Case(
            name: "stream that is cut", request: F.stream, reply: F.streamHead + F.chunk(F.frame("hi")),
            closes: true),
        Case(
            name: "stream to HTTP/1.0 that is cut", request: Self.oldStream,
            reply: F.streamHead + F.chunk(F.frame("hi")), closes: true),
        Case(name: "reply that is cut", request: F.chat, reply: String(F.reply.dropLast(30)), closes: true),
        Case(
            name: "upstream's 400", request: F.chat,
            reply: F.upstreamReply("{\"error\":{\"code\":\"bad\"}}", status: "400 Bad Request")),
        Case(
            name: "upstream's 429", request: F.stream,
            reply: F.upstreamReply("{}", status: "429 Too Many Requests")),
        Case(
            name: "compressed reply", request: F.chat,
            reply: F.upstreamReply(F.replyBody, fields: "content-encoding: gzip\r\n")),
        Case(name: "not HTTP", request: F.chat, reply: "HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nhello"),
    ]

    /// What a client saw of a reply, whatever the pieces in which it came.
    struct Seen: Equatable {
        var status: Int?
        var fields: [String] = []
        var body = ""
        var wasReset: Bool

        init(_ state: WireClient.State) {
            self.wasReset = state.sawReset
            // How much of it came through is chance.
            if self.wasReset { return }
            guard let reply = WireReply.parse(state.bytes, headOnly: false, atEnd: state.sawEnd)?.reply else {
                return
            }
            let changing = ["date", "x-tollgate-request-id"]
            self.status = reply.status
            self.fields = reply.fields.filter { !changing.contains($0.name) }
                .map { "\($0.name): \($0.value)" }
            self.body = reply.text
        }
    }

    enum Mode: Sendable {
        case plain
        /// The loop stands still in `record` until the client was looked at.
        case heldWhileRecorded
        case strict
    }

    private static func upstream(_ test: Case, _ split: Split) -> @Sendable (UpstreamCall) -> Void {
        { call in
            if split == .reply {
                call.replyByteByByte(test.reply, closes: test.closes)
            } else {
                call.reply(test.reply)
                if test.closes { call.close() }
            }
        }
    }

    /// A client that takes what it has for a whole reply, successful or not, is mistaken.
    static func expectNoEnd(_ client: WireClient) async throws {
        try await client.looksAgain()
        let state = client.state
        let text = String(decoding: state.bytes, as: UTF8.self)
        #expect(!state.sawEnd && !state.sawReset, "the connection ended")
        #expect(WireReply.parse(state.bytes, headOnly: false, atEnd: false) == nil, "'\(text)' is whole")
        #expect(!text.holds("[DONE]") && !text.holds("\"error\""), "'\(text)'")
    }

    private static func run(_ test: Case, _ split: Split, _ mode: Mode) async throws -> Seen {
        var seen: Seen?
        try await ServerRig.with(
            onCall: Self.upstream(test, split), configure: { $0.limits.gatheredReplyBytesMax = 1000 }
        ) { rig in
            let (isRecording, goOn) = (Watched(false), DispatchSemaphore(value: 0))
            defer { goOn.signal() }
            rig.settlements.watched.update { state in
                state.isStrict = mode == .strict
                guard mode == .heldWhileRecorded else { return }
                state.onRecord = {
                    isRecording.update { $0 = true }
                    goOn.wait()
                }
            }
            let client = try await rig.send(test.request)
            switch mode {
            case .plain:
                break
            case .heldWhileRecorded:
                #expect(await isRecording.until { $0 })
                try await Self.expectNoEnd(client)
                goOn.signal()
            case .strict:
                _ = try await rig.settled(1)
                try await rig.loopsAreThrough()
                try await Self.expectNoEnd(client)
                rig.settlements.becameSafe()
            }
            let isOver = await client.watched.until { state in
                state.sawEnd || state.sawReset
                    || WireReply.parse(state.bytes, headOnly: false, atEnd: false) != nil
            }
            #expect(isOver)
            #expect(rig.settlements.watched.state.settlements.count == 1)
            seen = Seen(client.state)
        }
        return try #require(seen)
    }

    @Test(arguments: cases) func nothingCompletesAReplyBeforeItsOutcomeIsRecorded(_ test: Case) async throws {
        for split in [Split.none, .reply] {
            let plain = try await Self.run(test, split, .plain)
            #expect(try await Self.run(test, split, .heldWhileRecorded) == plain, "split: \(split)")
        }
    }

    @Test(arguments: cases) func strictlyNothingCompletesAReplyBeforeItIsSafe(_ test: Case) async throws {
        for split in [Split.none, .reply] {
            let plain = try await Self.run(test, split, .plain)
            #expect(try await Self.run(test, split, .strict) == plain, "split: \(split)")
        }
    }

    /// What is compared is worth comparing.
    @Test func theFixturesAreWhatTheySay() async throws {
        func seen(_ name: String) async throws -> Seen {
            try await Self.run(try #require(Self.cases.first { $0.name == name }), .none, .plain)
        }
        for name in ["large reply", "large reply in chunks", "large close-delimited reply"] {
            let reply = try await seen(name)
            #expect(reply.body == Self.large && !reply.fields.contains { $0.hasPrefix("x-tollgate-charged") })
        }
        #expect(try await seen("large reply in chunks to HTTP/1.0").body == Self.large)
        #expect(try await seen("stream that is cut behind [DONE]").body == F.streamText)
        #expect(try await seen("stream to HTTP/1.0").body == F.streamText)
        #expect(try await seen("stream that is cut").body.holds("upstream_error"))
        // Its end would have been the end of the connection.
        #expect(try await seen("large reply to HTTP/1.0 that is cut").wasReset)
        #expect(try await seen("compressed reply").status == 502)
    }

    /// A reply that came to its end waits for nobody upstream: its connection serves others meanwhile.
    @Test func theUpstreamConnectionIsGivenBackMeanwhile() async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            rig.settlements.watched.update { $0.isStrict = true }
            var clients: [WireClient] = []
            for (index, request) in [F.chat, F.stream, F.chat].enumerated() {
                clients.append(try await rig.send(request))
                _ = try await rig.settled(index + 1)
                try await rig.loopsAreThrough()
            }
            #expect(rig.upstream.state.connections == 1)
            for client in clients { try await Self.expectNoEnd(client) }
            rig.settlements.becameSafe()
            for client in clients { #expect(try await client.reply().status == 200) }
        }
    }

    @Test(arguments: [F.chat, F.stream])
    func aPipelinedRequestWaitsForTheReplyBeforeIt(first: String) async throws {
        try await ServerRig.with(onCall: F.answering) { rig in
            rig.settlements.watched.update { $0.isStrict = true }
            let client = try await rig.send(first + F.chat + F.health)
            _ = try await rig.settled(1)
            try await rig.loopsAreThrough()
            try await Self.expectNoEnd(client)
            #expect(rig.upstream.state.calls.count == 1 && rig.store.watched.state.placed == 1)
            rig.settlements.becameSafe()
            #expect(try await client.reply().status == 200)
            _ = try await rig.settled(2)
            rig.settlements.becameSafe()
            #expect(try await client.reply().text == F.replyBody)
            #expect(try await client.reply().text == "{\"ok\":true}")
        }
    }
}

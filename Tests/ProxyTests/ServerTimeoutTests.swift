import Metering
import NIOCore
import Testing

@testable import Proxy

/// Time is a resource that a hostile peer takes if nobody counts it. Deadlines are looked at every 250 ms.
@Suite(.timeLimit(.minutes(10))) struct ServerTimeoutTests {
    typealias F = ServerFixtures

    // MARK: The client's head and body

    @Test func aHeadThatStopsHalfWayIsAnsweredWith408AndAClose() async throws {
        try await ServerRig.with(configure: { $0.timeouts.clientHead = .seconds(2) }) { rig in
            let client = try await rig.send("POST /v1/chat/completions HTTP/1.1\r\nhost: pro")
            let reply = try await client.reply()
            #expect(reply.status == 408 && reply.closes && reply.code == "request_timeout")
            #expect(try await client.end() == "")
        }
    }

    /// Slow-loris: each byte is progress, and still the head as a whole has its time.
    @Test func dripFeedingAHeadDoesNotBuyTime() async throws {
        try await ServerRig.with(configure: { $0.timeouts.clientHead = .milliseconds(2000) }) { rig in
            let client = try await rig.connect(
                saying: "GET /", dripping: .init(every: .milliseconds(30)) { _ in [UInt8(ascii: "x")] })
            #expect(try await client.reply().status == 408)
            #expect(client.state.dripped > 3, "the bytes came while the time ran")
        }
    }

    /// There is no request that could be answered.
    @Test func aConnectionThatSaysNothingIsClosedWithoutAWord() async throws {
        try await ServerRig.with(configure: { $0.timeouts.clientHead = .seconds(2) }) { rig in
            let client = try await rig.connect()
            #expect(try await client.end() == "")
            #expect(rig.count(status: 408) == 0)
        }
    }

    @Test func theTimeOfALaterHeadRunsFromItsFirstByte() async throws {
        try await ServerRig.with(configure: { $0.timeouts.clientHead = .seconds(2) }) { rig in
            let client = try await rig.send(F.health)
            #expect(try await client.reply().status == 200)
            // Idle for longer than a head may take: `keepAlive` is what counts here.
            #expect(await !client.watched.until(within: .seconds(3)) { $0.sawEnd })
            try await client.send("GET /api/hea")
            let reply = try await client.reply()
            #expect(reply.status == 408 && reply.closes)
            #expect(try await client.end() == "")
        }
    }

    @Test func anIdleConnectionIsClosedWithoutAWord() async throws {
        try await ServerRig.with(
            onCall: F.answering, configure: { $0.timeouts.keepAlive = .milliseconds(300) }
        ) { rig in
            for request in [F.chat, F.health] {
                let client = try await rig.send(request)
                let reply = try await client.reply()
                #expect(reply.status == 200 && !reply.closes)
                #expect(try await client.end() == "")
            }
        }
    }

    @Test(arguments: ["/v1/chat/completions", "/api/echo"])
    func aBodyThatStopsIsAnsweredWith408AndAClose(target: String) async throws {
        try await ServerRig.with(configure: { $0.timeouts.clientBody = .milliseconds(300) }) { rig in
            let client = try await rig.send(F.head(target, fields: "content-length: 100\r\n") + "{\"model\"")
            let reply = try await client.reply()
            #expect(reply.status == 408 && reply.closes && reply.code == "request_timeout")
            #expect(try await client.end() == "")
            #expect(rig.store.watched.state.placed == 0 && rig.control.watched.state.requests.isEmpty)
        }
    }

    /// A slow link is no attack: what counts is that the body goes on.
    @Test func aSlowBodyThatGoesOnIsWaitedFor() async throws {
        try await ServerRig.with(
            onCall: F.answering, configure: { $0.timeouts.clientBody = .seconds(3) }
        ) { rig in
            let pieces = Array(F.chatBody.utf8).chunked(by: 7)
            // Longer in all than the limit.
            let client = try await rig.connect(
                saying: F.head(fields: "content-length: \(F.chatBody.utf8.count)\r\n"),
                dripping: .init(every: .milliseconds(450)) { $0 < pieces.count ? pieces[$0] : nil })
            #expect(try await client.reply().status == 200)
        }
    }

    /// However slow the body comes, the exchange as a whole has its time.
    @Test func aBodyThatDripsForEverEndsWithTheExchange() async throws {
        try await ServerRig.with(configure: { $0.timeouts.exchange = .milliseconds(500) }) { rig in
            let client = try await rig.connect(
                saying: F.head(fields: "content-length: 100000\r\n"),
                dripping: .init(every: .milliseconds(30)) { _ in [0x20] })
            let reply = try await client.reply()
            #expect(reply.status == 408 && reply.closes)
        }
    }

    /// The control plane reads bodies of people whom it does not know yet.
    @Test(arguments: ["/v1/chat/completions", "/api/echo"])
    func aBodyThatDripsForEverHasItsTime(target: String) async throws {
        try await ServerRig.with(configure: { $0.timeouts.clientBodyTotal = .milliseconds(500) }) { rig in
            let client = try await rig.connect(
                saying: F.head(target, fields: "content-length: 100000\r\n"),
                dripping: .init(every: .milliseconds(30)) { _ in [0x20] })
            let reply = try await client.reply()
            #expect(reply.status == 408 && reply.closes)
            #expect(client.state.dripped > 3, "the bytes came while the time ran")
        }
    }

    // MARK: Upstream

    @Test func upstreamThatSaysNothingIsA504() async throws {
        try await ServerRig.with(configure: { $0.timeouts.upstreamHead = .milliseconds(300) }) { rig in
            for (index, request) in [F.chat, F.stream].enumerated() {
                let reply = try await rig.ask(request)
                #expect(reply.status == 504 && reply.code == "upstream_timeout")
                let settlement = try await rig.settled(index + 1)[index]
                // The request was sent: OpenAI may bill it, so it is charged as an estimate.
                #expect(settlement.estimatedBecause == .upstreamTimeout && settlement.usage.output == 0)
            }
            #expect(await rig.upstream.watched.until { $0.open == 0 }, "its answer would come too late")
        }
    }

    @Test func silenceInTheMiddleOfAStreamEndsItWithAnErrorFrame() async throws {
        try await ServerRig.with(configure: { $0.timeouts.upstreamIdle = .milliseconds(300) }) { rig in
            let client = try await rig.send(F.stream)
            try await rig.upstream.call().send(F.streamHead + F.chunk(F.frame("hi")))
            let reply = try await client.reply()
            #expect(reply.status == 200 && reply.isChunked)
            #expect(reply.text.hasPrefix(F.frame("hi")) && reply.code == "upstream_timeout")
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.estimatedBecause == .upstreamTimeout && settlement.usage.output == 1)
            #expect(await rig.upstream.watched.until { $0.open == 0 })
            try await client.send(F.health)
            #expect(
                try await client.reply().status == 200, "the reply was well-formed: the connection goes on")
        }
    }

    @Test func silenceInTheMiddleOfAWholeReplyIsA504() async throws {
        try await ServerRig.with(configure: { $0.timeouts.upstreamIdle = .milliseconds(300) }) { rig in
            let client = try await rig.send(F.chat)
            try await rig.upstream.call().send(String(F.reply.dropLast(20)))
            #expect(try await client.reply().status == 504)
            #expect(try await rig.settled(1)[0].estimatedBecause == .upstreamTimeout)
        }
    }

    /// Frames come all the time, and still the exchange as a whole has its time.
    @Test func aStreamThatNeverEndsIsEndedWithAnErrorFrame() async throws {
        let onCall: @Sendable (UpstreamCall) -> Void = { call in
            call.send(F.streamHead)
            call.drip(F.chunk(F.frame("x")), every: .milliseconds(30))
        }
        try await ServerRig.with(onCall: onCall, configure: { $0.timeouts.exchange = .seconds(3) }) {
            rig in
            let client = try await rig.send(F.stream)
            let reply = try await client.reply()
            #expect(reply.status == 200 && reply.code == "upstream_timeout")
            #expect(try await rig.settled(1)[0].estimatedBecause == .upstreamTimeout)
        }
    }

    @Test func aWholeReplyThatTakesTooLongIsA504() async throws {
        try await ServerRig.with(configure: { $0.timeouts.exchange = .milliseconds(400) }) { rig in
            let reply = try await rig.ask(F.chat)
            #expect(reply.status == 504 && reply.code == "upstream_timeout")
        }
    }

    // MARK: A client that does not read

    /// While we hold upstream back its silence is our doing: `upstreamIdle`, much shorter here, must not run.
    @Test func aClientThatTakesNothingIsClosedAsGone() async throws {
        try await ServerRig.with(configure: {
            $0.timeouts.clientWrite = .seconds(5)
            $0.timeouts.upstreamIdle = .seconds(1)
        }) { rig in
            let client = try await rig.connect(receiveBuffer: 4096)
            try await client.pause()
            try await client.send(F.stream)
            let call = try await rig.upstream.call()
            call.send(F.streamHead)
            call.pump(F.bulk.chunk, times: 4000)
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.estimatedBecause == .clientGone && settlement.usage.output > 0)
            #expect(await rig.upstream.watched.until { $0.open == 0 }, "nobody reads on for nobody")
        }
    }

    /// The same for a reply that is passed on whole: it is read on for the charge once its client counts as gone.
    @Test func aClientThatTakesNothingOfAWholeReplyIsClosedAsGone() async throws {
        try await ServerRig.with(configure: {
            $0.timeouts.clientWrite = .milliseconds(1500)
            $0.timeouts.upstreamIdle = .milliseconds(300)
        }) { rig in
            let client = try await rig.connect(receiveBuffer: 4096)
            try await client.pause()
            try await client.send(F.chat)
            let call = try await rig.upstream.call()
            call.send(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
                    + F.chunk("{\"x\":\""))
            let pieces = 600
            // Upstream is held back until the client is gone; then the rest is read in a moment, its end with it.
            call.pump(
                ByteBuffer(string: F.chunk(String(repeating: "x", count: 64 << 10))), times: pieces,
                then: F.chunk("\",\(F.usage)}") + "0\r\n\r\n")
            try await rig.eventually("it is closed") { rig.connectionsOpen == 0 }
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.estimatedBecause == nil && settlement.charge.amount.value == F.usageCharge)
        }
    }

    @Test func aClientThatTakesNothingOfAControlReplyIsClosed() async throws {
        try await ServerRig.with(configure: { $0.timeouts.clientWrite = .milliseconds(500) }) { rig in
            let client = try await rig.connect(receiveBuffer: 4096)
            try await client.pause()
            try await client.send("GET /api/large HTTP/1.1\r\nhost: proxy\r\n\r\n")
            try await rig.eventually("the reply begins") { rig.control.watched.state.requests.count == 1 }
            try await rig.eventually("it is closed") { rig.connectionsOpen == 0 }
        }
    }

    /// The last reply of a connection waits in the socket: the close behind it must not wait for ever.
    @Test func aClientThatTakesNothingOfItsLastReplyIsClosed() async throws {
        try await ServerRig.with(configure: {
            $0.timeouts.clientWrite = .milliseconds(500)
            $0.limits.gatheredReplyBytesMax = 64 << 20
        }) { rig in
            let client = try await rig.connect(receiveBuffer: 4096)
            try await client.pause()
            try await client.send(F.post(fields: "connection: close\r\n", F.chatBody))
            let body = "{\"choices\":[],\"x\":\"\(String(repeating: "x", count: 32 << 20))\",\(F.usage)}"
            try await rig.upstream.call().reply(F.upstreamReply(body))
            #expect(try await rig.settled(1)[0].charge.amount.value == F.usageCharge)
            try await rig.eventually("it is closed") { rig.connectionsOpen == 0 }
        }
    }
}

extension Array {
    /// Pieces of `count` elements, the last one shorter.
    func chunked(by count: Int) -> [[Element]] {
        stride(from: 0, to: self.count, by: count).map { Array(self[$0..<Swift.min($0 + count, self.count)]) }
    }
}

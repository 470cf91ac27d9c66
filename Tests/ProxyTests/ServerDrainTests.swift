import Metering
import NIOCore
import Testing

@testable import Proxy

/// A server that goes away fails nobody: what runs ends, what is idle closes, what was begun is settled
/// before `stop()` returns. `stopNow()` ends the waiting, not the accounts.
@Suite(.timeLimit(.minutes(10))) struct ServerDrainTests {
    typealias F = ServerFixtures

    @Test func aStreamThatRunsIsFinished() async throws {
        try await ServerRig.with { rig in
            let client = try await rig.send(F.stream)
            let call = try await rig.upstream.call()
            call.send(F.streamHead + F.chunk(F.frame("hi")))
            try await client.received("\"hi\"")
            async let stopped: Void = rig.server.stop()
            try await rig.eventually("it is not ready") { rig.server.isDraining }
            try await Self.expectClosed(rig)
            call.reply(F.chunk(F.frame("there")) + F.streamEnd)
            #expect(try await client.reply().text == F.streamText)
            #expect(try await client.end() == "", "and then its connection closes")
            await stopped
            // Recorded by the time `stop()` is through.
            #expect(rig.settlements.watched.state.settlements.map(\.charge.amount.value) == [F.usageCharge])
        }
    }

    /// Waits until the listener is gone. (Its port may be another test's the moment after, so nobody connects
    /// to it.)
    private static func expectClosed(_ rig: ServerRig) async throws {
        try await rig.eventually("the listener closes") { rig.server.port == nil }
    }

    @Test func idleConnectionsAreClosedWithoutAWord() async throws {
        try await ServerRig.with(threads: 2) { rig in
            var clients: [WireClient] = []
            for index in 0..<6 {
                let client = try await rig.connect()
                if index.isMultiple(of: 2) {
                    try await client.send(F.health)
                    #expect(try await client.reply().status == 200)
                }
                clients.append(client)
            }
            try await rig.eventually("all are there") { rig.connectionsOpen == clients.count }
            await rig.server.stop()
            for client in clients { #expect(try await client.end() == "") }
        }
    }

    /// A request may be on its way when the listener closes: it is answered, and told that it was the last.
    @Test func aRequestThatWasOnItsWayIsTheLastOfItsConnection() async throws {
        try await ServerRig.with(
            onCall: F.answering,
            configure: {
                $0.timeouts.lastRequests = .minutes(1); $0.timeouts.clientHead = .minutes(1)
            }
        ) {
            rig in
            var clients: [WireClient] = []
            for _ in 0..<3 { clients.append(try await rig.connect()) }
            let probe = try await rig.connect()
            try await rig.eventually("all are there") { rig.connectionsOpen == clients.count + 1 }
            async let stopped: Void = rig.server.stop()
            try await Self.hearsOfIt(probe)
            try await Self.expectClosed(rig)
            for (client, request) in zip(clients, [F.chat, F.health, F.get("/v1/models")]) {
                try await client.send(request)
                let reply = try await client.reply()
                #expect(reply.status == 200 && reply.closes)
                #expect(try await client.end() == "")
            }
            await stopped
        }
    }

    /// The loop has heard that it is leaving when its replies say so.
    private static func hearsOfIt(_ probe: WireClient) async throws {
        var isLeaving = false
        while !isLeaving {
            try await probe.send(F.health)
            isLeaving = try await probe.reply().closes
        }
    }

    /// The head of a reply that runs was sent when nobody knew. Its client has not been told that it is the
    /// last, so its next request may be on its way.
    @Test func whoeverWasNotToldMaySendAnother() async throws {
        try await ServerRig.with(configure: {
            $0.timeouts.lastRequests = .minutes(1); $0.timeouts.clientHead = .minutes(1)
        }) { rig in
            let streaming = try await rig.send(F.stream)
            let call = try await rig.upstream.call()
            call.send(F.streamHead)
            try await streaming.received("text/event-stream")
            let held = try await rig.send(F.get("/api/held"))
            try await rig.eventually("it runs") { rig.control.watched.state.requests.count == 1 }
            let probe = try await rig.connect()
            async let stopped: Void = rig.server.stop()
            try await Self.hearsOfIt(probe)
            rig.control.release()
            call.reply(F.streamEnd)
            for client in [streaming, held] {
                let untold = try await client.reply()
                #expect(untold.status == 200 && !untold.closes)
                try await client.send(F.health)
                let told = try await client.reply()
                #expect(told.status == 200 && told.closes)
                #expect(try await client.end() == "")
            }
            await stopped
        }
    }

    @Test func beforeTheListenerClosesEverythingIsServed() async throws {
        try await ServerRig.with(
            onCall: F.answering,
            configure: {
                $0.timeouts.shutdownDelay = .hours(1)
            }
        ) { rig in
            async let stopped: Void = rig.server.stop()
            try await rig.eventually("it is leaving") { rig.server.isDraining }
            let reply = try await rig.ask(F.chat)
            #expect(reply.status == 200 && reply.closes, "a new connection, and its only request")
            rig.server.stopNow()
            await stopped
            try await Self.expectClosed(rig)
        }
    }

    /// Whoever pipelines behind a long stream gets no new exchange out of a server that is gone.
    @Test func nothingNewBeginsBehindAStreamThatRuns() async throws {
        try await ServerRig.with(configure: { $0.timeouts.lastRequests = .milliseconds(50) }) { rig in
            let client = try await rig.send(F.stream)
            let call = try await rig.upstream.call()
            call.send(F.streamHead)
            try await client.send(F.chat)
            let idle = try await rig.connect()
            try await rig.eventually("both are there") { rig.connectionsOpen == 2 }
            async let stopped: Void = rig.server.stop()
            #expect(try await idle.end() == "", "the time of last requests is over")
            call.reply(F.streamEnd)
            #expect(try await client.reply().status == 200)
            _ = try await client.end()
            await stopped
            #expect(rig.upstream.state.calls.count == 1)
        }
    }

    // MARK: The end of patience

    @Test func whatDoesNotEndInTimeIsEnded() async throws {
        try await ServerRig.with(configure: { $0.timeouts.shutdown = .milliseconds(400) }) { rig in
            let streaming = try await rig.send(F.stream)
            let call = try await rig.upstream.call(0)
            call.send(F.streamHead + F.chunk(F.frame("a")))
            try await streaming.received("\"a\"")
            let waiting = try await rig.send(F.chat)
            _ = try await rig.upstream.call(1)
            await rig.server.stop()
            let settlements = rig.settlements.watched.state.settlements
            #expect(settlements.count == 2, "recorded by the time stop() is through")
            #expect(settlements.allSatisfy { $0.kind == .final && $0.charge.amount > .zero })
            #expect(!(try await streaming.end()).holds("0\r\n\r\n"), "a cut must not look like an end")
            #expect(try await waiting.end() == "")
        }
    }

    @Test func stopNowEndsTheWaitingAtOnce() async throws {
        try await ServerRig.with(
            threads: 2,
            configure: {
                $0.timeouts.shutdown = .hours(1)
                $0.timeouts.shutdownDelay = .hours(1)
            }
        ) { rig in
            var clients: [WireClient] = []
            for _ in 0..<6 { clients.append(try await rig.send(F.stream)) }
            _ = try await rig.upstream.call(5)
            async let stopped: Void = rig.server.stop()
            try await rig.eventually("it is leaving") { rig.server.isDraining }
            rig.server.stopNow()
            await stopped
            #expect(rig.settlements.watched.state.settlements.count == 6)
            for client in clients { #expect(try await client.end() == "") }
        }
    }

    /// The grant comes when the exchange is long over: it is given back, and nothing is settled.
    @Test func aHoldThatIsStillBeingPlacedIsGivenBack() async throws {
        try await ServerRig.with(configure: { $0.timeouts.shutdown = .milliseconds(100) }) { rig in
            rig.store.watched.update { $0.isClosed = true }
            let client = try await rig.send(F.chat)
            #expect(await rig.store.watched.until { $0.waiting == 1 })
            await rig.server.stop()
            #expect(try await client.end() == "")
            try await rig.store.openGate()
            #expect(await rig.store.watched.until { $0.released.count == 1 })
            #expect(rig.settlements.watched.state.settlements.isEmpty)
        }
    }

    /// Read on for nobody is still read on: its cost is known only at its end.
    @Test func aReplyThatIsReadOnForNobodyIsWaitedFor() async throws {
        try await ServerRig.with { rig in
            let client = try await rig.send(F.chat)
            let call = try await rig.upstream.call()
            await client.reset()
            try await rig.eventually("the client is gone") { rig.connectionsOpen == 0 }
            async let stopped: Void = rig.server.stop()
            try await Self.expectClosed(rig)
            call.reply(F.reply)
            await stopped
            #expect(rig.settlements.watched.state.settlements.map(\.charge.amount.value) == [F.usageCharge])
        }
    }
}

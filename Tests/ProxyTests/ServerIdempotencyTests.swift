import Metering
import NIOCore
import Testing

@testable import Proxy

/// Requests with an `Idempotency-Key`: one runs and is charged, its retries get its reply.
@Suite(.timeLimit(.minutes(10))) struct ServerIdempotencyTests {
    typealias F = ServerFixtures

    static let field = "idempotency-key: k-1\r\n"
    static let chat = F.post(fields: field, F.chatBody)
    static let stream = F.post(fields: field, F.streamBody)

    static func with(
        onCall: (@Sendable (UpstreamCall) -> Void)? = nil, onDisconnect: DisconnectPolicy? = nil,
        configure: (inout DataPlaneConfiguration) throws -> Void = { _ in },
        _ body: (ServerRig, FakeReplies) async throws -> Void
    ) async throws {
        let replies = FakeReplies()
        try await ServerRig.with(
            onDisconnect: onDisconnect, replies: replies, onCall: onCall, configure: configure
        ) { rig in
            try await body(rig, replies)
            try await rig.eventually("no copy is held") { rig.server.budget.usedBytes == 0 }
        }
    }

    /// A retry that comes once the reply is kept.
    static func retry(_ request: String, _ rig: ServerRig, _ replies: FakeReplies) async throws -> WireReply {
        #expect(await replies.watched.until { $0.only != nil && $0.only != .running })
        return try await rig.ask(request)
    }

    // MARK: Replays

    @Test(arguments: [chat, stream]) func aRetryGetsTheReplyAndNothingIsCharged(_ request: String)
        async throws
    {
        try await Self.with(onCall: F.answering) { (rig: ServerRig, replies: FakeReplies) async throws in
            let first = try await rig.ask(request)
            let again = try await Self.retry(request, rig, replies)
            #expect(first.status == 200 && again.status == 200 && again.text == first.text)
            #expect(first["x-tollgate-idempotent-replay"] == nil)
            #expect(again["x-tollgate-idempotent-replay"] == "true")
            for name in [
                "content-type", "x-tollgate-request-id", "x-tollgate-price-id",
                "x-tollgate-held-millicredits",
                "x-request-id", "x-tollgate-on-disconnect",
            ] {
                #expect(again[name] == first[name], "\(name)")
            }
            #expect(again["x-tollgate-charged-millicredits"] == String(F.usageCharge))
            #expect(again["x-tollgate-balance-millicredits"] == nil, "it was the balance of then")
            #expect(again["content-length"] == String(again.body.count) && !again.isChunked)
            #expect(
                rig.store.watched.state.placed == 1 && rig.settlements.watched.state.settlements.count == 1)
            #expect(rig.upstream.state.calls.count == 1)
        }
    }

    /// The connection goes on, whichever way it got its reply.
    @Test func aReplayLeavesItsConnectionUsable() async throws {
        try await Self.with(onCall: F.answering) { (rig: ServerRig, replies: FakeReplies) async throws in
            _ = try await rig.ask(Self.chat)
            #expect(await replies.watched.until { $0.only != .running })
            let client = try await rig.send(Self.chat + Self.chat + F.chat)
            for expected in ["true", "true", nil] {
                let reply = try await client.reply()
                #expect(reply.text == F.replyBody && reply["x-tollgate-idempotent-replay"] == expected)
            }
        }
    }

    @Test func aReceiptIsPartOfTheReply() async throws {
        let request = F.post(fields: Self.field + "x-tollgate-receipt: sse\r\n", F.streamBody)
        try await Self.with(onCall: F.answering) { (rig: ServerRig, replies: FakeReplies) async throws in
            let first = try await rig.ask(request)
            #expect(first.text.holds(": tollgate charged="))
            #expect(try await Self.retry(request, rig, replies).text == first.text)
        }
    }

    @Test func aReplyThatPassesWhileItComesIsKeptWhole() async throws {
        try await Self.with(configure: { $0.limits.gatheredReplyBytesMax = 20 }) {
            (rig: ServerRig, replies: FakeReplies) async throws in
            let client = try await rig.send(Self.chat)
            let call = try await rig.upstream.call()
            for piece in [F.reply.prefix(150), F.reply.dropFirst(150)] {
                call.send(String(piece))
                try await rig.loopsAreThrough()
            }
            #expect(try await client.reply().text == F.replyBody)
            #expect(try await Self.retry(Self.chat, rig, replies).text == F.replyBody)
        }
    }

    // MARK: Conflicts

    @Test func whileOneRunsTheOthersAreToldToWait() async throws {
        try await Self.with { (rig: ServerRig, replies: FakeReplies) async throws in
            let client = try await rig.send(Self.chat)
            let call = try await rig.upstream.call()
            let early = try await rig.ask(Self.chat)
            #expect(early.status == 409 && early.code == "idempotency_in_progress")
            #expect(early["retry-after"] == "1" && early["x-should-retry"] == nil)
            call.reply(F.reply)
            #expect(try await client.reply().status == 200)
            #expect(try await Self.retry(Self.chat, rig, replies).text == F.replyBody)
            #expect(rig.store.watched.state.placed == 1)
        }
    }

    @Test func anotherRequestUnderTheSameKeyIsRefused() async throws {
        try await Self.with(onCall: F.answering) { (rig: ServerRig, replies: FakeReplies) async throws in
            _ = try await rig.ask(Self.chat)
            let others = [
                Self.stream, F.post(to: "/api/ai/chat", fields: Self.field, F.chatBody),
                F.post(fields: Self.field, F.chatBody + " "),
            ]
            for other in others {
                let reply = try await rig.ask(other)
                #expect(reply.status == 409 && reply["x-should-retry"] == "false")
                #expect(reply.text.holds("\"idempotency_conflict\""))
            }
            let someoneElse = F.post(
                key: FakeDirectory.serviceKey, fields: Self.field + "x-tollgate-user: bob\r\n", F.chatBody)
            let theirs = try await rig.ask(someoneElse)
            #expect(theirs.status == 200 && theirs["x-tollgate-idempotent-replay"] == nil)
        }
    }

    @Test(arguments: [
        "idempotency-key:\r\n", "idempotency-key: a b\r\n",
        "idempotency-key: \(String(repeating: "k", count: 256))\r\n",
    ])
    func whatIsNoKeyIsNamed(_ field: String) async throws {
        try await Self.with { (rig: ServerRig, replies: FakeReplies) async throws in
            let reply = try await rig.ask(F.post(fields: field, F.chatBody))
            #expect(reply.status == 400 && reply.text.holds("\"param\":\"Idempotency-Key\""))
            #expect(replies.watched.state.claims == 0)
        }
    }

    @Test func twoKeysAreNone() async throws {
        try await Self.with { (rig: ServerRig, _: FakeReplies) async throws in
            #expect(try await rig.ask(F.post(fields: Self.field + Self.field, F.chatBody)).status == 400)
        }
    }

    /// Neither a request without a key nor one that is not metered asks the ledger.
    @Test func whoSendsNoKeyPaysNothing() async throws {
        try await Self.with(onCall: F.answering) { (rig: ServerRig, replies: FakeReplies) async throws in
            #expect(try await rig.ask(F.chat).status == 200)
            #expect(try await rig.ask(F.get("/v1/models", fields: Self.field)).status == 200)
            #expect(replies.watched.state.claims == 0)
        }
    }

    @Test func theKeyDoesNotGoUpstream() async throws {
        try await Self.with(onCall: F.answering) { (rig: ServerRig, _: FakeReplies) async throws in
            _ = try await rig.ask(Self.chat)
            let head = try await rig.upstream.call().head
            #expect(!head.lowercased().holds("idempotency-key"))
        }
    }

    // MARK: What is not kept

    @Test func refusalsAndFailuresFreeTheKey() async throws {
        let onCall: @Sendable (UpstreamCall) -> Void = { call in
            if call.body.holds("\"stream\"") {
                call.send(F.streamHead + F.chunk(F.frame("a")))
                call.close()
            } else {
                call.reply(F.upstreamReply("{\"error\":{}}", status: "500 Internal Server Error"))
            }
        }
        try await Self.with(onCall: onCall) { (rig: ServerRig, replies: FakeReplies) async throws in
            let noModel = F.post(fields: Self.field, F.chatBody.replacing("gpt-test", with: "gpt-unknown"))
            rig.store.watched.update { $0.refusesWith = .short(available: .zero) }
            #expect(try await rig.ask(Self.chat).status == 402)
            #expect(await replies.watched.until { $0.ends == [.free] && $0.rows.isEmpty })
            rig.store.watched.update { $0.refusesWith = nil }
            #expect(try await rig.ask(noModel).status == 404)
            #expect(await replies.watched.until { $0.ends.count == 2 })
            #expect(try await rig.ask(Self.chat).status == 502)
            #expect(await replies.watched.until { $0.ends.count == 3 })
            let cut = try await rig.ask(Self.stream)
            #expect(cut.text.holds("upstream_error"))
            #expect(await replies.watched.until { $0.ends.count == 4 && $0.rows.isEmpty })
            #expect(replies.watched.state.ends.allSatisfy { $0 == .free })
        }
    }

    @Test(arguments: [chat, stream]) func aReplyThatReportsAnErrorIsNotKept(_ request: String) async throws {
        let onCall: @Sendable (UpstreamCall) -> Void = {
            guard $0.body.holds("\"stream\"") else {
                return $0.reply(F.upstreamReply("{\"error\":{\"message\":\"x\"}}"))
            }
            $0.reply(
                F.streamHead + F.chunk("data: {\"error\":{\"message\":\"x\"}}\n\n")
                    + F.chunk("data: [DONE]\n\n")
                    + "0\r\n\r\n")
        }
        try await Self.with(onCall: onCall) { (rig: ServerRig, replies: FakeReplies) async throws in
            let reply = try await rig.ask(request)
            #expect(reply.status == 200 && reply.text.holds("\"error\""))
            #expect(await replies.watched.until { $0.ends == [.free] })
        }
    }

    /// A request that is none at all asks nobody.
    @Test func anUnreadableBodyClaimsNothing() async throws {
        try await Self.with { (rig: ServerRig, replies: FakeReplies) async throws in
            #expect(try await rig.ask(F.post(fields: Self.field, "{")).status == 400)
            #expect(replies.watched.state.claims == 0)
        }
    }

    @Test(arguments: [chat, stream]) func aReplyThatIsTooLargeIsChargedOnce(_ request: String) async throws {
        try await Self.with(onCall: F.answering, configure: { $0.limits.keptReplyBytesMax = 60 }) {
            (rig: ServerRig, replies: FakeReplies) async throws in
            #expect(try await rig.ask(request).status == 200)
            let again = try await Self.retry(request, rig, replies)
            #expect(again.status == 409 && again.code == "idempotent_reply_not_kept")
            #expect(again["x-should-retry"] == "false")
            #expect(rig.settlements.watched.state.settlements.count == 1)
        }
    }

    /// Copies share the budget of bodies, and are the first to do without.
    @Test func aCopyThatFindsNoMemoryIsNotKept() async throws {
        try await Self.with(onCall: F.answering, configure: { $0.limits.bufferedBodyBytesMax = 40 }) {
            (rig: ServerRig, replies: FakeReplies) async throws in
            #expect(try await rig.ask(Self.stream).text == F.streamText)
            #expect(await replies.watched.until { $0.ends == [.withoutReply] })
        }
    }

    // MARK: Clients that leave

    /// Even where streams are cancelled: under a key the client comes back.
    @Test(arguments: [chat, stream]) func aClientThatComesBackFindsItsReply(_ request: String) async throws {
        try await Self.with(onDisconnect: .cancel) { (rig: ServerRig, replies: FakeReplies) async throws in
            let client = try await rig.send(request)
            let call = try await rig.upstream.call()
            if request == Self.stream {
                call.send(F.streamHead + F.chunk(F.frame("hi")))
                try await client.received("\"hi\"")
                #expect(client.state.bytes.end(of: Array("x-tollgate-on-disconnect: drain".utf8)) != nil)
            }
            await client.reset()
            try await rig.eventually("the connection is closed") { rig.connectionsOpen == 0 }
            #expect(try await rig.ask(request).code == "idempotency_in_progress")
            if request == Self.stream {
                call.send(F.chunk(F.frame("there")) + F.streamEnd)
            } else {
                call.reply(F.reply)
            }
            let again = try await Self.retry(request, rig, replies)
            #expect(again.text == (request == Self.stream ? F.streamText : F.replyBody))
            let settled = try await rig.settled(1)
            #expect(settled.count == 1 && settled[0].estimatedBecause == nil)
            #expect(settled[0].charge.amount.value == F.usageCharge)
        }
    }

    /// SDKs close at `[DONE]`, before upstream has ended its message.
    @Test func aClientThatLeavesAtDoneFindsItsReply() async throws {
        try await Self.with { (rig: ServerRig, replies: FakeReplies) async throws in
            let client = try await rig.send(Self.stream)
            let call = try await rig.upstream.call()
            call.send(F.streamHead + F.chunk(F.frame("hi")) + F.chunk("data: [DONE]\n\n"))
            try await client.received("[DONE]")
            await client.reset()
            let again = try await Self.retry(Self.stream, rig, replies)
            #expect(again.text == F.frame("hi") + "data: [DONE]\n\n")
        }
    }

    @Test func aDrainHasItsTimeAndThenFreesTheKey() async throws {
        try await Self.with(configure: { $0.timeouts.drain = .milliseconds(300) }) {
            (rig: ServerRig, replies: FakeReplies) async throws in
            let client = try await rig.send(Self.stream)
            let call = try await rig.upstream.call()
            call.send(F.streamHead + F.chunk(F.frame("hi")))
            try await client.received("\"hi\"")
            await client.reset()
            #expect(await replies.watched.until { $0.ends == [.free] })
            #expect(try await rig.settled(1)[0].estimatedBecause == .upstreamTimeout)
        }
    }

    /// Nobody waits for the ledger's answer any more: no key stays claimed.
    @Test func aClientThatLeavesWhileItsKeyIsClaimedLeavesNothing() async throws {
        try await Self.with { (rig: ServerRig, replies: FakeReplies) async throws in
            replies.watched.update { $0.isHeld = true }
            let client = try await rig.send(Self.chat)
            #expect(await replies.watched.until { $0.claims == 1 })
            await client.reset()
            try await rig.eventually("no exchange runs") { rig.exchangesRunning == 0 }
            replies.answerHeld()
            #expect(await replies.watched.until { $0.ends == [.free] && $0.rows.isEmpty })
            #expect(rig.store.watched.state.placed == 0)
        }
    }

    /// With JOURNAL_SYNC=strict the end waits for the disk: a client that leaves meanwhile was charged, and its retry
    /// gets the whole.
    @Test func aClientThatLeavesBeforeItsOutcomeIsSafeFindsItsReply() async throws {
        try await Self.with(onCall: F.answering) { (rig: ServerRig, replies: FakeReplies) async throws in
            rig.settlements.watched.update { $0.isStrict = true }
            let client = try await rig.send(Self.chat)
            #expect(await rig.settlements.watched.until { $0.unsafe.count == 1 })
            await client.reset()
            #expect(try await Self.retry(Self.chat, rig, replies).text == F.replyBody)
            rig.settlements.becameSafe()
        }
    }

    // MARK: The ledger

    @Test(arguments: ClaimFailure.allCases) func withoutTheLedgerNothingRuns(_ failure: ClaimFailure)
        async throws
    {
        try await Self.with(onCall: F.answering) { (rig: ServerRig, replies: FakeReplies) async throws in
            replies.watched.update { $0.failure = failure }
            let reply = try await rig.ask(Self.chat)
            #expect(reply.status == 503 && reply.code == "holds_unavailable" && reply["retry-after"] == "1")
            #expect(rig.store.watched.state.placed == 0)
            // What may have been noted is freed, so that the retry need not wait for the lease.
            #expect(await replies.watched.until { $0.rows.isEmpty })
            #expect(replies.watched.state.ends == (failure == .unknown ? [.free] : []))
            replies.watched.update { $0.failure = nil }
            #expect(try await rig.ask(Self.chat).status == 200)
            #expect(try await rig.ask(F.chat).status == 200)
        }
    }

    @Test func anEndThatDoesNotGetThroughIsToldAgain() async throws {
        try await Self.with(onCall: F.answering) { (rig: ServerRig, replies: FakeReplies) async throws in
            replies.watched.update { $0.endsToFail = .max }
            #expect(try await rig.ask(Self.chat).status == 200)
            #expect(await replies.watched.until { $0.ends.count >= 2 }, "it is told again")
            #expect(rig.server.budget.usedBytes == F.replyBody.utf8.count)
            let untold = replies.watched.update { state in
                state.endsToFail = 0
                return state.ends.count
            }
            #expect(try await Self.retry(Self.chat, rig, replies).text == F.replyBody)
            #expect(replies.watched.state.ends.count == untold + 1, "and no more once the ledger has it")
        }
    }

    @Test func theLeaseIsRenewedWhileItRuns() async throws {
        try await Self.with(configure: { $0.timeouts.idempotencyRenewal = .milliseconds(10) }) {
            (rig: ServerRig, replies: FakeReplies) async throws in
            let client = try await rig.send(Self.chat)
            let call = try await rig.upstream.call()
            #expect(await replies.watched.until { $0.renewals >= 3 })
            call.reply(F.reply)
            #expect(try await client.reply().status == 200)
        }
    }

    /// A server that stops tells the ledger what became of its runs before it goes.
    @Test func aServerThatStopsFreesWhatItEnds() async throws {
        try await Self.with(configure: { $0.timeouts.shutdown = .milliseconds(100) }) {
            (rig: ServerRig, replies: FakeReplies) async throws in
            let client = try await rig.send(Self.stream)
            let call = try await rig.upstream.call()
            call.send(F.streamHead + F.chunk(F.frame("hi")))
            try await client.received("\"hi\"")
            await rig.server.stop()
            #expect(await replies.watched.until { $0.ends == [.free] && $0.rows.isEmpty })
        }
    }
}

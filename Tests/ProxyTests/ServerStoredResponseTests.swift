import Metering
import NIOCore
import Testing

@testable import Proxy

/// What upstream keeps belongs to whoever made it, is read without a charge, and is paid for when it is read again.
@Suite(.timeLimit(.minutes(10))) struct ServerStoredResponseTests {
    typealias F = ServerFixtures

    static let mine = StoredResponse(
        id: ResponseID("resp_1")!, account: 1, model: "gpt-responses",
        context: ContextTokens(input: 1000, output: 50))
    static let strangers = StoredResponse(id: ResponseID("resp_2")!, account: 2, model: "gpt-responses")
    static let usage = #""usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15}"#
    static let object =
        #"{"id":"resp_9","object":"response","model":"gpt-responses","status":"completed","output":[],\#(usage)}"#

    static func post(_ members: String = "", model: String = "gpt-responses") -> String {
        F.post(
            to: "/v1/responses", #"{"model":"\#(model)","input":"hello","max_output_tokens":20\#(members)}"#)
    }

    static func previous(_ id: String, model: String = "gpt-responses") -> String {
        self.post(#","previous_response_id":"\#(id)""#, model: model)
    }

    private static func with(
        onCall: (@Sendable (UpstreamCall) -> Void)? = nil,
        configure: (inout DataPlaneConfiguration) throws -> Void = { _ in },
        _ body: (ServerRig) async throws -> Void
    ) async throws {
        try await ServerRig.with(onCall: onCall, configure: configure) { rig in
            for response in [Self.mine, Self.strangers] { rig.owners.remember(response) }
            try await body(rig)
        }
    }

    /// Nothing was held, settled or sent.
    private static func expectNothing(_ rig: ServerRig, calls: Int = 0) {
        #expect(rig.store.watched.state.placed == 0 && rig.settlements.watched.state.settlements.isEmpty)
        #expect(rig.settlements.watched.state.reserved == 0 && rig.upstream.state.calls.count == calls)
    }

    // MARK: Reading one

    @Test(arguments: ["", "?include[]=reasoning.encrypted_content&include%5B%5D=x&stream=false"])
    func anOwnedResponseIsRelayedWithoutACharge(query: String) async throws {
        try await Self.with(onCall: { $0.reply(F.upstreamReply(Self.object)) }) { rig in
            let client = try await rig.connect()
            for number in 0..<3 {
                try await client.send(F.get("/v1/responses/resp_1\(query)", fields: "x-evil: 1\r\n"))
                let reply = try await client.reply()
                #expect(reply.status == 200 && reply.text == Self.object && reply["x-evil"] == nil)
                #expect(reply["x-tollgate-request-id"] != nil)
                #expect(
                    reply.fields.allSatisfy {
                        !$0.name.contains("millicredits") && !$0.name.contains("price")
                    })
                let call = try await rig.upstream.call(number)
                #expect(call.head.hasPrefix("GET /v1/responses/resp_1\(query) HTTP/1.1\r\n"))
                #expect(call.head.holds("Bearer sk-operator-secret") && !call.head.holds("tg_ada"))
                #expect(!call.head.lowercased().holds("content-length") && !call.head.holds("x-evil"))
            }
            Self.expectNothing(rig, calls: 3)
            #expect(rig.count(status: 200) == 3)
        }
    }

    /// The words are the same, so nobody learns which ids there are.
    @Test func anotherAccountsResponseIsLikeNone() async throws {
        try await Self.with { rig in
            let unknown = try await rig.ask(F.get("/v1/responses/resp_7"))
            let strangers = try await rig.ask(F.get("/v1/responses/resp_2"))
            #expect(unknown.status == 404 && strangers.status == 404 && unknown.code == "response_not_found")
            #expect(unknown.text.holds("Response with id 'resp_7' not found."))
            #expect(unknown.text.replacing("resp_7", with: "resp_2") == strangers.text)
            let (noTurn, nobodys) = (
                try await rig.ask(Self.previous("resp_7")), try await rig.ask(Self.previous("resp_2"))
            )
            #expect(noTurn.status == 400 && noTurn.code == "previous_response_not_found")
            #expect(noTurn.text.holds("previous_response_id"))
            #expect(noTurn.text.replacing("resp_7", with: "resp_2") == nobodys.text && nobodys.status == 400)
            let (asked, odd) = (rig.owners.watched.state.asked, try await rig.ask(Self.previous("../files")))
            #expect(odd.status == 400 && rig.owners.watched.state.asked == asked, "no id, so nobody is asked")
            Self.expectNothing(rig)
        }
    }

    @Test func withoutTheStoresNobodyIsLetThrough() async throws {
        try await Self.with { rig in
            rig.owners.watched.update { $0.isAway = true }
            for request in [F.get("/v1/responses/resp_1"), Self.previous("resp_1")] {
                let reply = try await rig.ask(request)
                #expect(reply.status == 503 && reply["retry-after"] == "1")
            }
            Self.expectNothing(rig)
        }
    }

    @Test(arguments: [
        "stream=true", "starting_after=3", "%73tream=true", "stream=1", "stream", "Stream=true", "includes=x",
        "include[]=a&stream=true", "x=%0d%0a",
    ])
    func onlyIncludeIsAskedOfUpstream(query: String) async throws {
        try await Self.with { rig in
            let reply = try await rig.ask(F.get("/v1/responses/resp_1?\(query)"))
            #expect(reply.status == 400 && reply.code == "invalid_request")
            Self.expectNothing(rig)
        }
    }

    @Test func nothingElseIsDoneWithAStoredResponse() async throws {
        try await Self.with { rig in
            var requests = ["DELETE", "HEAD", "POST", "PUT"].map { F.get("/v1/responses/resp_1", method: $0) }
            requests += ["cancel", "input_items", ""].map { F.get("/v1/responses/resp_1/\($0)") }
            requests += [
                F.post(to: "/v1/responses/resp_1/cancel", "{}"),
                F.post(to: "/v1/responses/input_tokens", "{}"),
            ]
            for request in requests {
                let reply = try await rig.ask(request, headOnly: request.hasPrefix("HEAD"))
                #expect(reply.status == 404, "\(request)")
                if !request.hasPrefix("HEAD") { #expect(reply.code == "endpoint_not_metered") }
            }
            Self.expectNothing(rig)
        }
    }

    @Test(arguments: [(404, 404), (401, 502), (500, 502), (429, 429)])
    func upstreamsErrorsAreAnsweredAsElsewhere(upstream: Int, client: Int) async throws {
        let body = #"{"error":{"message":"gone","type":"x","param":null,"code":null}}"#
        try await Self.with(onCall: { $0.reply(F.upstreamReply(body, status: "\(upstream) X")) }) { rig in
            let reply = try await rig.ask(F.get("/v1/responses/resp_1"))
            #expect(reply.status == client && (client == 404) == (reply.text == body))
            Self.expectNothing(rig, calls: 1)
        }
    }

    @Test func aReplyThatBreaksOffIsNoReply() async throws {
        try await Self.with(onCall: { $0.close() }) { rig in
            let reply = try await rig.ask(F.get("/v1/responses/resp_1"))
            #expect(reply.status == 502)
            Self.expectNothing(rig, calls: 1)
        }
    }

    @Test func aSilentUpstreamIsNotWaitedForForever() async throws {
        try await Self.with(configure: { $0.timeouts.upstreamHead = .milliseconds(300) }) { rig in
            let reply = try await rig.ask(F.get("/v1/responses/resp_1"))
            #expect(reply.status == 504)
            Self.expectNothing(rig, calls: 1)
        }
    }

    /// Larger than what is held back: it passes while it comes.
    @Test func aLargeResponsePasses() async throws {
        let text = String(repeating: "x", count: 3 << 20)
        let object = Self.object.replacing("[]", with: #"["\#(text)"]"#)
        try await Self.with(onCall: { $0.reply(F.upstreamReply(object)) }) { rig in
            let reply = try await rig.ask(F.get("/v1/responses/resp_1"))
            #expect(reply.status == 200 && reply.text == object)
        }
    }

    @Test func whoLeavesWhileItIsFetchedLeavesNothingBehind() async throws {
        try await Self.with { rig in
            let client = try await rig.send(F.get("/v1/responses/resp_1"))
            _ = try await rig.upstream.call()
            await client.close()
            #expect(await rig.upstream.watched.until { $0.open == 0 }, "the fetching is given up")
            Self.expectNothing(rig, calls: 1)
        }
    }

    @Test(arguments: [F.get("/v1/responses/resp_1"), previous("resp_1")])
    func whoLeavesWhileItsOwnerIsAskedForLeavesNothingBehind(request: String) async throws {
        try await Self.with { rig in
            rig.owners.watched.update { $0.isHeld = true }
            let client = try await rig.send(request)
            #expect(await rig.owners.watched.until { !$0.held.isEmpty })
            await client.close()
            try await rig.eventually("nobody runs") { rig.exchangesRunning == 0 }
            rig.owners.answerHeld()
            try await rig.loopsAreThrough()
            Self.expectNothing(rig)
        }
    }

    /// Nothing is told to the stores of holds of a request that has none.
    @Test func aKeptConnectionThatDiedIsReplaced() async throws {
        try await Self.with { rig in
            let client = try await ServerRetryTests.sendIntoDeath(
                rig, reset: false, request: F.get("/v1/responses/resp_1"))
            try await rig.upstream.call(1).reply(F.upstreamReply(Self.object))
            #expect(try await client.reply().text == Self.object)
            #expect(rig.settlements.watched.state.settlements.count == 1, "that of the chat before it")
        }
    }

    // MARK: Going on from one

    /// 2 millicredits for a token of input, 8 for one of output, and 100 bytes or so of body.
    @Test func aTurnIsHeldForWhatItReadsAgain() async throws {
        try await Self.with(onCall: { $0.reply(F.upstreamReply(Self.object)) }) { rig in
            func held(_ request: String) async throws -> Int64 {
                let reply = try await rig.ask(request)
                #expect(reply.status == 200)
                return Int64(reply["x-tollgate-held-millicredits"] ?? "") ?? 0
            }
            let alone = try await held(Self.post())
            let known = try await held(Self.previous("resp_1"))
            let extra = #","previous_response_id":"resp_1""#.utf8.count
            #expect(known == alone + 2 * Int64(1000 + 2 * 50 + extra))
            let window = try await held(Self.previous("resp_1", model: "gpt-other"))
            #expect(window == 2 * 16_000 + 8 * 20)
            let call = try await rig.upstream.call(1)
            #expect(call.body.holds(#""previous_response_id":"resp_1""#))
        }
    }

    /// Only its usage tells what it read, and a turn that broke off tells none: what is known of it is charged.
    @Test func aTurnWithoutUsageIsChargedForWhatItWentOnFrom() async throws {
        let silent = Self.object.replacing(",\(Self.usage)", with: "")
        try await Self.with(onCall: { $0.reply(F.upstreamReply(silent)) }) { rig in
            #expect(try await rig.ask(Self.post()).status == 200)
            #expect(try await rig.ask(Self.previous("resp_1")).status == 200)
            let settled = try await rig.settled(2)
            #expect(settled.allSatisfy { $0.estimatedBecause == .usageMissing })
            #expect(settled[1].usage.inputTotal == settled[0].usage.inputTotal + 1050)
        }
    }

    // MARK: Making one

    @Test func aWholeReplyIsTheClientsBeforeItIsSeen() async throws {
        try await Self.with(onCall: { $0.reply(F.upstreamReply(Self.object)) }) { rig in
            #expect(try await rig.ask(Self.post()).status == 200)
            let context = ContextTokens(input: 10, output: 5)
            let id = try #require(ResponseID("resp_9"))
            let made = StoredResponse(id: id, account: 1, model: "gpt-responses", context: context)
            #expect(rig.owners.watched.state.told.last == made)
            #expect(try await rig.settled(1)[0].stored == StoredReply(id: id, context: context))
            // At once.
            #expect(try await rig.ask(Self.previous("resp_9")).status == 200)
        }
    }

    /// Its next turn may come while it is still being written, or after it broke off.
    @Test(arguments: [false, true]) func aStreamIsTheClientsFromItsFirstEvent(cut: Bool) async throws {
        try await Self.with { rig in
            let client = try await rig.send(Self.post(#","stream":true"#))
            let call = try await rig.upstream.call()
            let begun =
                #"{"type":"response.created","response":{"id":"resp_9","status":"in_progress","usage":null}}"#
            call.send(F.streamHead + F.chunk("event: response.created\ndata: \(begun)\n\n"))
            try await client.received("resp_9")
            let id = try #require(ResponseID("resp_9"))
            let made = StoredResponse(id: id, account: 1, model: "gpt-responses")
            #expect(rig.owners.watched.state.told.last == made, "before the client saw it")
            let next = try await rig.send(Self.previous("resp_9"))
            try await rig.upstream.call(1).reply(
                F.upstreamReply(Self.object.replacing("resp_9", with: "resp_8")))
            #expect(try await next.reply().status == 200)
            if cut {
                call.close()
            } else {
                call.reply(
                    F.chunk("data: {\"type\":\"response.completed\",\"response\":\(Self.object)}\n\n")
                        + "0\r\n\r\n")
            }
            let settled = try await rig.settled(2).first { $0.stored?.id == id }
            let context = ContextTokens(input: 10, output: 5)
            #expect(settled?.stored == StoredReply(id: id, context: cut ? nil : context))
            #expect(rig.owners.watched.state.known[id]?.context == (cut ? nil : context))
            // Upstream may have finished what was cut; who paid for a part of it gets no more.
            let read = try await rig.send(F.get("/v1/responses/resp_9"))
            if !cut { try await rig.upstream.call(2).reply(F.upstreamReply(Self.object)) }
            #expect(try await read.reply().status == (cut ? 404 : 200))
        }
    }

    /// Its input is not counted, so only the report of the reply tells what it costs.
    @Test func whoLeavesATurnOfUnknownInputIsChargedByItsReport() async throws {
        try await Self.with { rig in
            rig.owners.remember(
                StoredResponse(
                    id: try #require(ResponseID("resp_3")), account: 1, model: "gpt-responses",
                    isCharged: true))
            let client = try await rig.send(
                Self.post(#","stream":true,"previous_response_id":"resp_3""#))
            let call = try await rig.upstream.call()
            let delta = #"{"type":"response.output_text.delta","delta":"one"}"#
            call.send(F.streamHead + F.chunk("data: \(delta)\n\n"))
            try await client.received("x-tollgate-on-disconnect: drain")
            try await client.received(delta)
            await client.close()
            call.reply(
                F.chunk("data: {\"type\":\"response.completed\",\"response\":\(Self.object)}\n\n")
                    + "0\r\n\r\n")
            let settled = try await rig.settled(1)[0]
            #expect(settled.estimatedBecause == nil && settled.usage.inputTotal == 10)
        }
    }

    @Test func whatWasLeftOutIsNoBound() async throws {
        try await Self.with(onCall: { $0.reply(F.upstreamReply(Self.object)) }) { rig in
            #expect(try await rig.ask(Self.post(#","truncation":"auto""#)).status == 200)
            let id = try #require(ResponseID("resp_9"))
            #expect(try await rig.settled(1)[0].stored == StoredReply(id: id, isCharged: true))
        }
    }

    /// A report of nothing would bound the next turn by nothing.
    @Test func aReportOfNothingReadIsNoBound() async throws {
        let nothing = Self.object.replacing(#""input_tokens":10"#, with: #""input_tokens":0"#)
            .replacing(#""total_tokens":15"#, with: #""total_tokens":5"#)
        try await Self.with(onCall: { $0.reply(F.upstreamReply(nothing)) }) { rig in
            let reply = try await rig.ask(Self.post())
            #expect(reply.status == 200)
            let settled = try await rig.settled(1)[0]
            #expect(settled.estimatedBecause == nil && settled.usage.inputTotal == 0)
            #expect(settled.stored?.id.text == "resp_9" && settled.stored?.context == nil)
        }
    }

    @Test func whatUpstreamDoesNotKeepHasNoOwner() async throws {
        try await Self.with(onCall: { $0.reply(F.upstreamReply(Self.object)) }) { rig in
            for request in [Self.post(#","store":false"#), F.chat] {
                let reply = try await rig.ask(request)
                #expect(reply.status == 200)
            }
            #expect(rig.owners.watched.state.told.count == 2, "those that the rig has from the beginning")
            #expect(try await rig.settled(2).allSatisfy { $0.stored == nil })
            #expect(try await rig.ask(F.get("/v1/responses/resp_9")).status == 404)
        }
    }

    @Test(arguments: [
        (#","conversation":"conv_1""#, "conversation"), (#","prompt":{"id":"pmpt_1"}"#, "prompt"),
        (#","background":true"#, "background"),
        (#","prompt_cache_options":{"comparison_response_id":"resp_1"}"#, "prompt_cache_options"),
    ])
    func otherThingsThatUpstreamKeepsAreRefused(members: String, param: String) async throws {
        try await Self.with { rig in
            let reply = try await rig.ask(Self.post(members))
            #expect(reply.status == 400 && reply.text.holds(param))
            Self.expectNothing(rig)
        }
    }
}

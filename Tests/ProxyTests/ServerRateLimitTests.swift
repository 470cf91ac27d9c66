import Metering
import NIOCore
import Testing

@testable import Proxy

/// 429 and OpenAI's headers, from what the hold store said (CONTRACT §4).
@Suite(.timeLimit(.minutes(10))) struct ServerRateLimitTests {
    typealias F = ServerFixtures

    private static let reading = LimitReading(
        requests: LimitLevel(limit: 60, used: 59 * 60_000 + 1), tokens: LimitLevel(limit: 1000, used: 20_000))

    private static func refusal(_ limit: RequestLimit, fits milliseconds: Int64?) -> PlaceAnswer {
        .limited(
            LimitRefusal(limit: limit, value: 60, fitsInMilliseconds: milliseconds, reading: Self.reading))
    }

    @Test func durationsAreWrittenAsOpenAIWritesThem() {
        let table: [(Int64, String)] = [
            (0, "0s"), (1, "1ms"), (20, "20ms"), (999, "999ms"), (1000, "1s"), (8640, "8.64s"),
            (1005, "1.005s"),
            (60_000, "1m0s"), (360_000, "6m0s"), (432_500, "7m12.5s"), (3_600_000, "1h0m0s"),
        ]
        for (milliseconds, text) in table { #expect(GoDuration.text(milliseconds) == text) }
    }

    @Test func aLimitedRequestIsA429ThatSaysWhichLimitAndWhen() async throws {
        try await ServerRig.with { rig in
            rig.store.watched.update {
                $0.refusesWith = Self.refusal(RequestLimit(.key, .requests), fits: 1001)
            }
            let reply = try await rig.ask(F.chat)
            #expect(reply.status == 429 && reply.code == "rate_limited")
            #expect(reply.text.holds("60 requests per minute of this API key") && reply.text.holds("1.001s"))
            #expect(reply["retry-after"] == "2" && reply["x-should-retry"] == nil)
            #expect(reply["x-ratelimit-limit-requests"] == "60")
            #expect(reply["x-ratelimit-remaining-requests"] == "0")
            #expect(reply["x-ratelimit-reset-requests"] == "59.001s")
            #expect(reply["x-ratelimit-limit-tokens"] == "1000")
            #expect(reply["x-ratelimit-remaining-tokens"] == "999")
            #expect(reply["x-ratelimit-reset-tokens"] == "20ms")
            #expect(rig.upstream.watched.update { $0.calls.count } == 0)
        }
    }

    /// To try it again would be of no use, and the official SDKs do not.
    @Test func aRequestThatNeverFitsSaysSo() async throws {
        try await ServerRig.with { rig in
            rig.store.watched.update {
                $0.refusesWith = Self.refusal(RequestLimit(.account, .tokens), fits: nil)
            }
            let reply = try await rig.ask(F.chat)
            #expect(reply.status == 429 && reply.code == "rate_limited" && reply.text.holds("never fits"))
            #expect(reply.text.holds("60 tokens per minute of this account"))
            #expect(reply["retry-after"] == nil && reply["x-should-retry"] == "false")
        }
    }

    @Test func everyReplyTellsOurLimitsAndNeverUpstreams() async throws {
        let theirs = "x-ratelimit-limit-requests: 10000\r\nx-ratelimit-reset-images: 1s\r\n"
        let onCall: @Sendable (UpstreamCall) -> Void = {
            $0.reply(F.upstreamReply(F.replyBody, fields: theirs))
        }
        let notes = GrantNotes(limits: Self.reading, nearCaps: [.session, .day])
        try await ServerRig.with(onCall: onCall) { rig in
            rig.store.watched.update { $0.notes = notes }
            let reply = try await rig.ask(F.chat)
            #expect(reply.status == 200 && reply["x-ratelimit-limit-requests"] == "60")
            #expect(reply["x-ratelimit-reset-images"] == nil)
            #expect(reply["x-tollgate-spend-warning"] == "session, day")
            #expect(reply.fields.filter { $0.name.hasPrefix("x-ratelimit") }.count == 6)
        }
        try await ServerRig.with(onCall: onCall) { rig in
            let reply = try await rig.ask(F.chat)
            #expect(reply.fields.filter { $0.name.hasPrefix("x-ratelimit") }.isEmpty, "there are no limits")
        }
    }

    /// Upstream's own 429 is told with our limits as well.
    @Test func upstreamsOwnLimitIsToldApart() async throws {
        let onCall: @Sendable (UpstreamCall) -> Void = {
            $0.reply(F.upstreamReply("{}", status: "429 Too Many", fields: "retry-after: 7\r\n"))
        }
        try await ServerRig.with(onCall: onCall) { rig in
            rig.store.watched.update { $0.notes = GrantNotes(limits: Self.reading) }
            let reply = try await rig.ask(F.chat)
            #expect(
                reply.status == 429 && reply.code == "upstream_rate_limited" && reply["retry-after"] == "7")
            #expect(reply["x-ratelimit-limit-tokens"] == "1000")
        }
    }

    /// The configured limits, the key, and the tokens: the bound of the input, and the cap, or what the model can write but
    /// no more than a quarter of the bucket.
    @Test func placeCarriesTheLimitsOfKeyAndAccount() async throws {
        let key = RequestLimits(requestsPerMinute: 10, streams: 3)
        let account = RequestLimits(tokensPerMinute: 3200)
        try await ServerRig.with(
            onCall: F.answering,
            configure: {
                $0.keyLimits = key
                $0.accountLimits = account
            }
        ) { rig in
            _ = try await rig.ask(F.chat)
            _ = try await rig.ask(F.post(String(F.chatBody.dropLast()) + ",\"max_tokens\":500,\"n\":2}"))
            let limits = rig.store.watched.update { $0.limits }
            #expect(limits.map(\.keyID) == [1, 1] && limits.map(\.key) == [key, key])
            #expect(limits.map(\.account) == [account, account])
            let difference = limits[1].tokens - limits[0].tokens
            #expect(limits[0].tokens > 800 && limits[0].tokens < 800 + 128)
            #expect(difference >= 200 && difference <= 200 + 32)
        }
    }

    /// CONTRACT §3 and §4: each of the three caps is a 402 that names itself.
    @Test(arguments: SpendCap.allCases)
    func aCapThatIsReachedIsA402WithItsFacts(_ cap: SpendCap) async throws {
        try await ServerRig.with { rig in
            rig.store.watched.update {
                $0.refusesWith = .capReached(
                    cap, limit: Millicredits(5000),
                    resetsAtMilliseconds: cap == .request ? 0 : 1_763_942_400_000)
            }
            let reply = try await rig.ask(F.chat)
            #expect(reply.status == 402 && reply.code == "spend_cap_reached")
            #expect(reply.text.holds("\"cap\":\"\(cap.rawValue)\",\"limitMillicredits\":\"5000\""))
            #expect(
                reply.text.holds(
                    cap == .request ? "\"resetsAt\":null" : "\"resetsAt\":\"2025-11-24T00:00:00Z\""))
            #expect(reply["x-should-retry"] == "false")
        }
    }
}

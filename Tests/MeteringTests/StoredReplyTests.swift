import Testing

@testable import Metering

/// Who made a response decides who may read it, so an id and what goes with it are taken strictly.
@Suite struct StoredReplyTests {
    static let id = ResponseID("resp_1")!
    static let replies = [
        StoredReply(id: id), StoredReply(id: ResponseID("resp_2")!),
        StoredReply(id: id, context: ContextTokens(input: 120, output: 30)),
        StoredReply(id: id, context: ContextTokens(input: 12, output: 30)),
        StoredReply(id: id, isCharged: true),
    ]

    @Test func anIDIsWhatCanStandInAPath() {
        for text in ["r", "resp_0aZ-9", String(repeating: "x", count: 128)] {
            #expect(ResponseID(text)?.text == text)
        }
        let refused = [
            "", "..", "a/b", "a.b", "a%2fb", "a b", "a\n", "a:b", "a;b", "{a}", "\u{e9}", "a\u{0}",
            String(repeating: "x", count: 129),
        ]
        for text in refused { #expect(ResponseID(text) == nil, "\(text)") }
    }

    /// The ledger learns of a response with its settlement, through journal and Redis; all others stay as they were.
    @Test func aStoredReplyMakesAThirdVersion() throws {
        var outcome = SettlementPayloadTests.plain
        for (reply, text) in zip(
            Self.replies, ["resp_1", "resp_2", "resp_1:120:30", "resp_1:12:30", "resp_1:="])
        {
            outcome.stored = reply
            let payload = String(decoding: outcome.encode(), as: UTF8.self)
            #expect(payload.hasPrefix("3;42;") && payload.contains(";40;5;~;1234;"))
            #expect(payload.hasSuffix(";req_1;\(text);1763900000000"))
            #expect(try Settlement(decoding: payload.utf8) == outcome)
        }
        outcome.usage.characters = 7
        let both = String(decoding: outcome.encode(), as: UTF8.self)
        #expect(both.contains(";40;5;characters=7;1234;"))
        #expect(try Settlement(decoding: both.utf8) == outcome)
    }

    @Test(arguments: [
        "", "~", "resp_1:", "resp_1:~", "resp_1:==", "resp_1:=:=", "resp_1:1", "resp_1:1:2:3", "resp_1:-1:2",
        "resp_1:01:2", "resp_1:+1:2", ":1:2",
        "re.sp:1:2", "resp_1:1:99999999999999999999",
    ])
    func aReplyThatWasNotWrittenIsRefused(text: String) {
        var outcome = SettlementPayloadTests.plain
        outcome.stored = Self.replies[2]
        let payload = String(decoding: outcome.encode(), as: UTF8.self)
        #expect(throws: SettlementPayloadFailure.malformed(field: 22)) {
            try Settlement(decoding: payload.replacing("resp_1:120:30", with: text).utf8)
        }
    }

    // MARK: What the next turn is bounded by

    private static func request(_ members: String = "") throws -> InspectedRequest {
        let body = #"{"model":"m","input":"x","previous_response_id":"resp_1"\#(members)}"#
        return try Inspection.inspect(body, as: .responses).get()
    }

    private static func most(_ request: InspectedRequest) -> Int64 {
        request.bounds(bodyBytes: 100, permittedTiers: [.default]).inputTokensMax
    }

    private static func response(_ model: String, _ context: ContextTokens?) -> StoredResponse {
        StoredResponse(id: self.id, account: 1, model: model, context: context)
    }

    @Test func whatTheSameModelReadAndWroteIsReadAgain() throws {
        var request = try Self.request()
        let alone = Self.most(try Inspection.inspect(#"{"model":"m","input":"x"}"#, as: .responses).get())
        let estimate = request.inputEstimate(CountedInput())
        #expect(request.awaitsOwner && Self.most(request) == .max, "not asked yet")
        request.follow(Self.response("m", ContextTokens(input: 1000, output: 50)))
        #expect(!request.awaitsOwner && Self.most(request) == alone + 1000 + 2 * 50)
        #expect(request.inputEstimate(CountedInput()) == estimate + 1050)
    }

    /// What upstream left out for want of room is read again when there is room.
    @Test(arguments: [("\"auto\"", true), ("\"disabled\"", false), ("null", false)])
    func whatMayBeLeftOutIsNoMeasure(value: String, truncates: Bool) throws {
        #expect(try Self.request(#","truncation":\#(value)"#).truncates == truncates)
    }

    /// Another model may need more tokens for the same text, and of an unknown context nothing is known at all.
    @Test func anythingElseIsBoundedByTheContextOfTheModel() throws {
        let context = ContextTokens(input: 1000, output: 50)
        for earlier in [Self.response("n", context), Self.response("m", nil)] {
            var request = try Self.request()
            request.follow(earlier)
            #expect(!request.awaitsOwner && Self.most(request) == .max)
            #expect(request.hidesUncountedInput == (earlier.context == nil))
        }
        var image = try Self.request(#","tools":[{"type":"web_search"}]"#)
        image.follow(Self.response("m", context))
        #expect(Self.most(image) == .max, "what is unbounded by itself stays so")
        var absurd = try Self.request()
        absurd.follow(Self.response("m", ContextTokens(input: .max, output: .max)))
        #expect(Self.most(absurd) == .max)
    }

    /// Pictures and sounds may be in what is not shown.
    @Test func whatIsNotShownMayBeOfAnyMedium() throws {
        var request = try Self.request()
        request.follow(Self.response("m", ContextTokens(input: 1, output: 1)))
        let media = request.bounds(bodyBytes: 100, permittedTiers: [.default]).media
        #expect(media.isSuperset(of: [.imageInput, .audioInput]))
    }

    @Test func nullGoesOnFromNothing() throws {
        let body = #"{"model":"m","input":"x","previous_response_id":null}"#
        let request = try Inspection.inspect(body, as: .responses).get()
        #expect(request.earlier == nil && !request.awaitsOwner && Self.most(request) < 1000)
    }
}

import Foundation
import Metering
import Testing

@testable import ControlPlane

/// `POST /api/billing/estimate`.
@Suite struct EstimateTests {
    struct Vector: Sendable {
        var model: String
        var input: Int64
        var output: Int64
        /// Credits, as JSON numbers.
        var exact: String
        var ceil: String
    }

    /// CONTRACT §7.
    static let vectors = [
        Vector(model: "gpt-4o-mini", input: 1000, output: 1000, exact: "12", ceil: "12"),
        Vector(model: "gpt-4o", input: 10000, output: 2000, exact: "360", ceil: "360"),
        Vector(model: "gpt-4o-mini", input: 750, output: 200, exact: "3.72", ceil: "4"),
        Vector(model: "gpt-4o", input: 1234, output: 567, exact: "70.04", ceil: "71"),
        Vector(model: "gpt-5-nano", input: 1000, output: 1000, exact: "1.8", ceil: "2"),
        Vector(model: "gpt-5", input: 10000, output: 2000, exact: "130", ceil: "130"),
    ]

    @Test(arguments: Self.vectors, [RoundingMode.exact, .ceil])
    func theContractsVectorsHoldToTheDigit(_ vector: Vector, _ mode: RoundingMode) async throws {
        let reply = try await ControlRig(mode: mode).estimate(
            #"{"model":"\#(vector.model)","inputTokens":\#(vector.input),"outputTokens":\#(vector.output)}"#)
        let credits = mode == .exact ? vector.exact : vector.ceil
        #expect(reply.status == 200)
        #expect(reply.text.contains(#","credits":\#(credits),"usd":"#), "\(reply.text)")
        #expect(reply.text.contains(#""estimated":false"#))
    }

    @Test func theWholeReplyIsExact() async throws {
        let reply = try await ControlRig().estimate(
            #"{"model":"gpt-4o-mini","inputTokens":750,"outputTokens":200,"cachedInputTokens":50}"#)
        #expect(
            reply.text == #"{"model":"gpt-4o-mini","priceId":"scholarlink@2025-01-19/gpt-4o-mini","#
                + #""inputTokens":750,"cachedInputTokens":50,"outputTokens":200,"estimated":false,"#
                + #""millicredits":"3720","credits":3.72,"usd":0.00372}"#)
    }

    /// The same arithmetic as admission: every byte of text in `messages`, five to the token.
    @Test func messagesAreEstimatedAndMarked() async throws {
        let text = String(repeating: "x", count: 96)  // with "user": 100 bytes
        let body =
            #"{"model":"gpt-4o","messages":[{"role":"user","content":"\#(text)"}],"maxOutputTokens":10}"#
        let reply = try await ControlRig().estimate(body)
        let chat = try body.utf8.withContiguousStorageIfAvailable {
            try RequestInspector.inspect(
                UnsafeRawBufferPointer($0), as: .chat, alsoKnown: ["maxOutputTokens"]
            ).get()
        }
        #expect(chat?.textBytes == 100)
        #expect(reply.text.contains(#""inputTokens":20,"cachedInputTokens":0,"outputTokens":10"#))
        #expect(reply.text.contains(#""estimated":true,"millicredits":"1200","credits":1.2,"#))
    }

    /// What the data plane counts is counted here, with the 3 tokens of each message and the 3 of the answer.
    @Test func messagesAreCountedWhereThereIsATokenizer() async throws {
        let bytes = (UInt8.min...UInt8.max).enumerated().map { "\(Data([$1]).base64EncodedString()) \($0)\n" }
        let vocabulary = Array((bytes.joined() + "eHg= 256\neHh4eA== 257\n").utf8)  // xx, xxxx
        let table = try TokenTable(copying: TokenTableBuilder.build(.o200kBase, vocabulary: vocabulary))
        let text = String(repeating: "x", count: 96)
        let reply = try await ControlRig(encodings: EncodingTables([table])).estimate(
            #"{"model":"gpt-4o","messages":[{"role":"user","content":"\#(text)"}],"maxOutputTokens":10}"#)
        #expect(
            reply.text.contains(#""inputTokens":31,"cachedInputTokens":0,"outputTokens":10"#), "\(reply.text)"
        )
    }

    /// A chat request can be sent as it is, to learn what it may cost.
    @Test func aWholeChatRequestBringsItsOwnCapAndChoices() async throws {
        let reply = try await ControlRig().estimate(
            #"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"max_tokens":7,"n":3}"#)
        #expect(reply.text.contains(#""outputTokens":21,"estimated":true"#))
    }

    @Test(arguments: [
        (#"{"inputTokens":1,"outputTokens":1}"#, "model"),
        (#"{"model":"","inputTokens":1,"outputTokens":1}"#, "model"),
        (#"{"model":7,"inputTokens":1,"outputTokens":1}"#, "model"),
        (#"{"model":"gpt-4o"}"#, "inputTokens"),
        (#"{"model":"gpt-4o","inputTokens":1,"outputTokens":"x"}"#, "outputTokens"),
        (#"{"model":"gpt-4o","inputTokens":-1,"outputTokens":1}"#, "inputTokens"),
        (#"{"model":"gpt-4o","inputTokens":1.5,"outputTokens":1}"#, "inputTokens"),
        (#"{"model":"gpt-4o","inputTokens":"1","outputTokens":1}"#, "inputTokens"),
        (#"{"model":"gpt-4o","inputTokens":true,"outputTokens":1}"#, "inputTokens"),
        (#"{"model":"gpt-4o","inputTokens":1,"outputTokens":1e300}"#, "outputTokens"),
        (#"{"model":"gpt-4o","inputTokens":1,"outputTokens":99999999999999999999}"#, "outputTokens"),
        (#"{"model":"gpt-4o","inputTokens":1,"outputTokens":1000000000001}"#, "outputTokens"),
        (#"{"model":"gpt-4o","inputTokens":1,"outputTokens":1,"cachedInputTokens":2}"#, "cachedInputTokens"),
        (#"{"model":"gpt-4o","inputTokens":1000000000000,"outputTokens":1000000000000}"#, "inputTokens"),
        (#"{"model":"gpt-4o","messages":"hi"}"#, "messages"),
        (#"{"model":"gpt-4o","messages":[]}"#, "messages"),
        (#"{"model":"gpt-4o","messages":["hi"]}"#, "messages"),
        (#"{"model":"gpt-4o","messages":[{"content":"hi"}],"inputTokens":1}"#, "inputTokens"),
        (#"{"model":"gpt-4o","messages":[{"content":"hi"}],"maxOutputTokens":-1}"#, "maxOutputTokens"),
        (#"{"model":"a","model":"b","inputTokens":1,"outputTokens":1}"#, "model"),
        (
            #"{"model":"gpt-4o","messages":[{"content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#,
            "messages"
        ),
    ])
    func aBadRequestNamesTheField(_ body: String, _ field: String) async throws {
        let reply = try await ControlRig().estimate(body)
        #expect(reply.status == 400)
        #expect(try reply.string("param") == field, "\(reply.text)")
        #expect(try reply.string("error")?.isEmpty == false)
    }

    @Test(arguments: [
        "", "nope", "{", #"{"model":"gpt-4o","inputTokens":1,"outputTokens":1}x"#,
        #"{"model":"gpt-4o","inputTokens":1,"inputTokens":2,"outputTokens":1}"#,
        #"{"model":"gpt-4o","x":"# + String(repeating: "[", count: 600) + String(repeating: "]", count: 600)
            + "}",
    ])
    func whatCanBeReadInNoOneWayIsInvalidJSON(_ body: String) async throws {
        let reply = try await ControlRig().estimate(body)
        #expect(reply.status == 400)
        #expect(try reply.string("code") == "invalid_json")
    }

    @Test(arguments: [#""hi""#, "7", "[", "[]", "null"])
    func aBodyThatIsNoObjectIsRefused(_ body: String) async throws {
        #expect(try await ControlRig().estimate(body).status == 400)
    }

    @Test func withoutOutputTheInputAloneIsPriced() async throws {
        let reply = try await ControlRig().estimate(#"{"model":"gpt-4o-mini","inputTokens":750}"#)
        #expect(reply.text.contains(#""outputTokens":0,"estimated":false,"millicredits":"1800""#))
    }

    @Test func anUnpricedModelIsA404() async throws {
        let reply = try await ControlRig().estimate(
            #"{"model":"gpt-4o-mini-2024-07-18","inputTokens":1,"outputTokens":1}"#)
        #expect(reply.status == 404)
        #expect(try reply.string("code") == "model_not_priced")
    }

    @Test func aBodyOverTheLimitIsA413() async throws {
        let filler = String(repeating: "x", count: 1 << 20)
        let reply = try await ControlRig().estimate(
            #"{"model":"gpt-4o","inputTokens":1,"outputTokens":1,"x":"\#(filler)"}"#)
        #expect(reply.status == 413)
        #expect(try reply.string("code") == "body_too_large")
    }
}

import Metering
import NIOCore
import Testing

@testable import Proxy

/// What is heard, spoken and drawn is held for, relayed and charged.
@Suite(.timeLimit(.minutes(10))) struct ServerMediaTests {
    typealias F = ServerFixtures

    // MARK: Uploads

    /// The hold was made of what was measured, so that is charged, whether a report says less or more.
    @Test(arguments: [0, 2, 3, 4, 20])
    func aTranscriptionIsChargedByTheSecondsThatWereMeasured(_ reported: Int) async throws {
        let body = #"{"text":"hi","usage":{"type":"duration","seconds":\#(reported)}}"#
        try await ServerRig.with(onCall: { $0.reply(F.upstreamReply(body)) }) { rig in
            let reply = try await Self.upload([], milliseconds: 2500, to: rig)
            #expect(reply.status == 200 && reply.text == body)
            let settled = try await rig.settled(1)[0]
            #expect(settled.usage.inputMilliseconds == 3000 && settled.estimatedBecause == nil)
            #expect(settled.charge.amount == Millicredits(3 * MediaPrices.secondRate))
            #expect(reply["x-tollgate-held-millicredits"] == "\(3 * MediaPrices.secondRate)")
            let call = try await rig.upstream.call()
            #expect(call.head.holds("POST /v1/audio/transcriptions "))
            #expect(call.head.holds("multipart/form-data; boundary=b0") && call.body.holds("name=\"model\""))
        }
    }

    /// litellm#20228, aisix PR#868: no format of the reply leads past the meter.
    @Test(arguments: ["text", "srt", "vtt"])
    func aTranscriptionWithoutUsageIsChargedByWhatWasMeasured(_ format: String) async throws {
        let onCall: @Sendable (UpstreamCall) -> Void = {
            $0.reply("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi")
        }
        try await ServerRig.with(onCall: onCall) { rig in
            let reply = try await Self.upload([("response_format", format)], milliseconds: 2500, to: rig)
            #expect(reply.status == 200 && reply.text == "hi")
            let settled = try await rig.settled(1)[0]
            #expect(settled.usage.inputMilliseconds == 3000 && settled.estimatedBecause == nil)
            #expect(settled.charge.amount == Millicredits(3 * MediaPrices.secondRate))
        }
    }

    /// Whoever is heard can say what he likes.
    @Test func textThatLooksLikeAReportIsContent() async throws {
        let text = #"{"model":"x","service_tier":"flex","usage":{"type":"duration","seconds":0}}"#
        try await ServerRig.with(onCall: { $0.reply(F.upstreamReply(text)) }) { rig in
            let reply = try await Self.upload([("response_format", "text")], milliseconds: 2500, to: rig)
            #expect(reply.text == text)
            let settled = try await rig.settled(1)[0]
            #expect(settled.modelServed == nil && settled.servedTier == nil)
            #expect(settled.charge.amount == Millicredits(3 * MediaPrices.secondRate))
        }
    }

    @Test func aTranscriptionThatIsCutOffIsChargedByWhatWasMeasured() async throws {
        let onCall: @Sendable (UpstreamCall) -> Void = {
            $0.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
            $0.close()
        }
        try await ServerRig.with(onCall: onCall) { rig in
            #expect(try await Self.upload([], to: rig).status == 502)
            let settled = try await rig.settled(1)[0]
            #expect(settled.usage.inputMilliseconds == 1000 && settled.estimatedBecause == .upstreamCut)
            #expect(settled.charge.amount == Millicredits(MediaPrices.secondRate))
        }
    }

    /// More than was sent is not believed; what was measured is charged, and never above the hold.
    @Test func anAbsurdReportOfSecondsIsNotBelieved() async throws {
        let body = #"{"text":"hi","usage":{"type":"duration","seconds":90000}}"#
        try await ServerRig.with(onCall: { $0.reply(F.upstreamReply(body)) }) { rig in
            #expect(try await Self.upload([], to: rig).status == 200)
            let settled = try await rig.settled(1)[0]
            #expect(settled.estimatedBecause == .usageImpossible)
            #expect(settled.charge.amount == Millicredits(MediaPrices.secondRate))
        }
    }

    /// Tokens of a model that is priced by time have no price: they would make it free.
    @Test func aReportOfTokensDoesNotMakeTimeFree() async throws {
        let body =
            #"{"text":"hi","usage":{"type":"tokens","input_tokens":9,"output_tokens":1,"total_tokens":10}}"#
        try await ServerRig.with(onCall: { $0.reply(F.upstreamReply(body)) }) { rig in
            #expect(try await Self.upload([], milliseconds: 2500, to: rig).status == 200)
            let settled = try await rig.settled(1)[0]
            #expect(settled.usage.inputMilliseconds == 3000 && settled.estimatedBecause == .usageUnpriced)
            #expect(settled.charge.amount == Millicredits(3 * MediaPrices.secondRate))
        }
    }

    @Test func aModelThatIsPricedByTokensIsChargedByThem() async throws {
        let usage =
            #"{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":4,"audio_tokens":10},"#
        let body = #"{"text":"hi","usage":\#(usage)"output_tokens":5,"total_tokens":19}}"#
        try await ServerRig.with(onCall: { $0.reply(F.upstreamReply(body)) }) { rig in
            let reply = try await Self.upload([], model: "gpt-4o-transcribe", to: rig)
            #expect(reply.status == 200)
            let settled = try await rig.settled(1)[0]
            #expect(settled.usage.audio.input == 10 && settled.usage.input == 4 && settled.usage.output == 5)
            #expect(settled.charge.amount == Millicredits(14 * 2 + 5 * 8))
        }
    }

    @Test func aTranscriptionThatStreamsIsChargedByItsLastEvent() async throws {
        let done =
            #"data: {"type":"transcript.text.done","text":"hi","usage":{"type":"tokens","input_tokens":10,"#
            + #""input_token_details":{"text_tokens":0,"audio_tokens":10},"output_tokens":3,"total_tokens":13}}"#
        let onCall: @Sendable (UpstreamCall) -> Void = {
            $0.reply(F.streamHead + F.chunk(done + "\n\n") + "0\r\n\r\n")
        }
        try await ServerRig.with(onCall: onCall) { rig in
            let reply = try await Self.upload([("stream", "true")], model: "gpt-4o-transcribe", to: rig)
            #expect(reply.status == 200 && reply.text.holds("transcript.text.done"))
            #expect(try await rig.settled(1)[0].charge.amount == Millicredits(10 * 2 + 3 * 8))
        }
    }

    @Test func whatCannotBeMeteredIsNotSent() async throws {
        try await ServerRig.with { rig in
            let silent = try await Self.upload(
                [("response_format", "text")], model: "gpt-4o-transcribe", to: rig)
            #expect(silent.status == 400 && silent.text.holds("\"param\":\"response_format\""))
            let unpriced = try await Self.upload([], model: "tts-1", to: rig)
            #expect(unpriced.status == 400 && unpriced.text.holds("\"param\":\"model\""))
            let broken = try await Self.upload([], file: Array("no sound".utf8), to: rig)
            #expect(broken.status == 400 && broken.text.holds("\"param\":\"file\""))
            let json = try await rig.ask(F.post(to: "/v1/audio/transcriptions", "{\"model\":\"whisper-1\"}"))
            #expect(json.status == 400 && json.text.holds("\"param\":\"content-type\""))
            let large = F.head("/v1/audio/transcriptions", fields: "content-length: 27000000\r\n")
            #expect(try await rig.ask(large).status == 413)
            #expect(rig.upstream.state.connections == 0 && rig.store.watched.state.placed == 0)
        }
    }

    /// Far above what a JSON body may have, in either framing.
    @Test func aFileOf25MebibytesPasses() async throws {
        let body = #"{"text":"hi","usage":{"type":"duration","seconds":1600}}"#
        try await ServerRig.with(onCall: { $0.reply(F.upstreamReply(body)) }) { rig in
            let file = Self.wav(milliseconds: (25 << 20) / 16 - 3)
            let reply = try await Self.upload([], file: file, to: rig)
            #expect(reply.status == 200)
            #expect(try await rig.settled(1)[0].usage.inputMilliseconds == 1_639_000)
        }
    }

    // MARK: Speech

    @Test func speechIsPassedOnAsItComesAndChargedByItsCharacters() async throws {
        try await ServerRig.with { rig in
            let client = try await rig.send(Self.speech("tts-1", "five!"))
            let call = try await rig.upstream.call()
            #expect(call.head.holds("POST /v1/audio/speech "))
            let sound: [UInt8] = [0xff, 0xf3, 0, 0x80, 0x7b, 0x22]
            call.send("HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n")
            call.send(Array("6\r\n".utf8) + sound + Array("\r\n".utf8))
            call.send(Array("6\r\n".utf8) + sound + Array("\r\n".utf8))
            // The first piece is there before the last has come.
            try await client.received("audio/mpeg")
            call.reply("0\r\n\r\n")
            let reply = try await client.reply()
            #expect(reply.status == 200 && reply.body == sound + sound)
            let settled = try await rig.settled(1)[0]
            #expect(settled.usage.characters == 5 && settled.estimatedBecause == nil)
            #expect(settled.charge.amount == Millicredits(5 * MediaPrices.characterRate))
        }
    }

    @Test func speechThatIsCutOffIsChargedByItsCharacters() async throws {
        let onCall: @Sendable (UpstreamCall) -> Void = {
            $0.send("HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 100\r\n\r\nxx")
            $0.close()
        }
        try await ServerRig.with(onCall: onCall) { rig in
            let client = try await rig.send(Self.speech("tts-1", "five!"))
            let settled = try await rig.settled(1)[0]
            #expect(settled.usage.characters == 5 && settled.estimatedBecause == .upstreamCut)
            await client.close()
        }
    }

    @Test func speechThatIsPricedByTokensMustTellThem() async throws {
        let done =
            #"data: {"type":"speech.audio.done","usage":{"input_tokens":3,"output_tokens":20,"total_tokens":23}}"#
        let onCall: @Sendable (UpstreamCall) -> Void = {
            $0.reply(F.streamHead + F.chunk(done + "\n\n") + "0\r\n\r\n")
        }
        try await ServerRig.with(onCall: onCall) { rig in
            let silent = try await rig.ask(Self.speech("gpt-4o-mini-tts", "five!"))
            #expect(silent.status == 400 && silent.text.holds("\"param\":\"stream_format\""))
            #expect(rig.store.watched.state.placed == 0)
            let told = try await rig.ask(Self.speech("gpt-4o-mini-tts", "five!", #","stream_format":"sse""#))
            #expect(told.status == 200)
            #expect(try await rig.settled(1)[0].charge.amount == Millicredits(3 * 2 + 20 * 8))
        }
    }

    // MARK: Images

    @Test func imagesAreChargedByTheTokensThatTheirReplyReports() async throws {
        let body =
            #"{"created":1,"data":[{"b64_json":"AAAA"}],"usage":{"input_tokens":10,"input_tokens_details":"#
            + #"{"text_tokens":10,"image_tokens":0},"output_tokens":272,"total_tokens":282}}"#
        try await ServerRig.with(onCall: { $0.reply(F.upstreamReply(body)) }) { rig in
            let request = #"{"model":"gpt-image-1.5","prompt":"a cat","quality":"low","size":"1024x1024"}"#
            let reply = try await rig.ask(F.post(to: "/v1/images/generations", request))
            #expect(reply.status == 200 && reply.text == body)
            let settled = try await rig.settled(1)[0]
            #expect(settled.endpoint == .images && settled.estimatedBecause == nil)
            #expect(settled.charge.amount == Millicredits(10 * 2 + 272 * 8))
            #expect(try await rig.upstream.call().head.holds("POST /v1/images/generations "))
        }
    }

    // MARK: Requests

    private static func speech(_ model: String, _ text: String, _ more: String = "") -> String {
        F.post(to: "/v1/audio/speech", #"{"model":"\#(model)","input":"\#(text)","voice":"alloy"\#(more)}"#)
    }

    /// Mono, 16 bits, 8,000 samples per second.
    private static func wav(milliseconds: Int) -> [UInt8] {
        func little(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        let head = Array("RIFF".utf8) + little(0) + Array("WAVEfmt ".utf8) + little(16) + [1, 0, 1, 0]
        return head + little(8000) + little(16000) + [2, 0, 16, 0] + Array("data".utf8)
            + little(milliseconds * 16) + [UInt8](repeating: 7, count: milliseconds * 16)
    }

    private static func upload(
        _ fields: [(String, String)], model: String = "whisper-1", milliseconds: Int = 1000,
        file: [UInt8]? = nil, to rig: ServerRig
    ) async throws -> WireReply {
        var form: [UInt8] = []
        for (name, value) in [("model", model)] + fields {
            form += Array("--b0\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n".utf8)
        }
        form += Array(
            "--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n".utf8)
        form += (file ?? self.wav(milliseconds: milliseconds)) + Array("\r\n--b0--\r\n".utf8)
        let client = try await rig.send(
            "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: proxy\r\n"
                + "authorization: Bearer \(FakeDirectory.key)\r\n"
                + "content-type: multipart/form-data; boundary=b0\r\ncontent-length: \(form.count)\r\n\r\n")
        try await client.send(form)
        let reply = try await client.reply()
        await client.close()
        return reply
    }
}

import Testing

@testable import Metering

@Suite("An upload tells what it can cost")
struct TranscriptionFormTests {
    @Test func theAudioIsMeasuredAndRoundedUpToSeconds() throws {
        for (milliseconds, billed) in [(1, Int64(1000)), (1000, 1000), (1001, 2000), (61_500, 62_000)] {
            let request = try FormBody.upload(milliseconds: milliseconds).inspect().get()
            #expect(request.inputMilliseconds == billed)
            #expect(request.model == "whisper-1" && !request.stream && !request.replyIsOpaque)
            let bounds = request.bounds(bodyBytes: 100, permittedTiers: [.default])
            #expect(bounds.inputMillisecondsMax == billed && bounds.media == .audioInput)
        }
    }

    /// aisix PR#868: asking for another format must not lead past the meter.
    @Test(arguments: ["text", "srt", "vtt"])
    func formatsWithoutUsageAreKnownAsSuch(_ format: String) throws {
        let request = try FormBody.upload([("response_format", format)]).inspect().get()
        #expect(request.replyIsOpaque && request.inputMilliseconds == 1000)
    }

    @Test func tokensAreBoundedByTheLengthAndThePrompt() throws {
        let plain = try FormBody.upload([("prompt", "12345678")], milliseconds: 90_000).inspect().get()
        var bounds = plain.bounds(bodyBytes: 1, permittedTiers: [.default])
        #expect(bounds.inputTokensMax == 90 * 20 + 8 + 64)
        #expect(bounds.choices == 1 && bounds.inputs == 1)
        // Divided, each stretch is read with the prompt, and answered, by itself.
        for name in ["chunking_strategy", "chunking_strategy[type]"] {
            let divided = try FormBody.upload([("prompt", "12345678"), (name, "auto")], milliseconds: 90_000)
                .inspect().get()
            bounds = divided.bounds(bodyBytes: 1, permittedTiers: [.default])
            #expect(bounds.inputTokensMax == 90 * 20 + 3 * (8 + 64))
            #expect(bounds.choices == 3 && bounds.inputs == 3)
        }
    }

    @Test func streamsAreThoseOfTranscriptionsOnly() throws {
        let form = FormBody.upload([("stream", "true")])
        let (heard, translated) = (try form.inspect().get(), try form.inspect(as: .translations).get())
        let whole = try FormBody.upload([("stream", "false")]).inspect().get()
        #expect(heard.stream && !translated.stream && !whole.stream)
    }

    @Test func whatCostsNothingPasses() throws {
        let form = FormBody.upload([
            ("language", "en"), ("temperature", "0"), ("timestamp_granularities[]", "word"),
            ("timestamp_granularities[]", "segment"), ("include[]", "logprobs"),
            ("languages[]", "en"), ("languages[]", "de"), ("service_tier", "default"), ("user", "u"),
        ])
        let request = try form.inspect().get()
        #expect(request.inputMilliseconds == 1000 && request.textBytes == 0)
    }

    /// What the model reads beside the audio is input.
    @Test func namesAndKeywordsAreText() throws {
        let form = FormBody.upload([
            ("known_speaker_names[]", "Ada"), ("known_speaker_names[]", "Grace"), ("keywords[]", "abacus"),
            ("prompt", "12"),
        ])
        let request = try form.inspect().get()
        #expect(request.textBytes == 3 + 5 + 6 + 2)
        #expect(request.bounds(bodyBytes: 1, permittedTiers: [.default]).inputTokensMax == 20 + 16 + 64)
    }

    static let refused: [(field: String, parts: [(String, String)])] = [
        ("model", [("model", "gpt-4o-transcribe")]), ("model", [("model[]", "x")]),
        ("response_format", [("response_format", "json"), ("response_format", "text")]),
        ("response_format", [("response_format", "xml")]),
        ("stream", [("stream", "true"), ("stream", "false")]),
        ("stream", [("stream", "perhaps")]), ("prompt", [("prompt", "a"), ("prompt", "b")]),
        ("prompt", [("prompt", String(repeating: "x", count: 70_000))]),
        ("prompt", [("keywords[]", String(repeating: "x", count: 70_000))]),
        ("unheard_of", [("unheard_of", "x")]),
        ("file", [("file", "RIFF")]),
        ("known_speaker_references", [("known_speaker_references[]", "data:audio/wav;base64,AAAA")]),
        ("service_tier", [("service_tier", "priority")]),
        ("language", [("language", "a"), ("language", "b")]),
    ]

    @Test(arguments: Self.refused)
    func whatCannotBeMeteredIsRefusedByName(_ refused: (field: String, parts: [(String, String)])) {
        guard case .failure(let rejection) = FormBody.upload(refused.parts).inspect() else {
            Issue.record("accepted: \(refused)")
            return
        }
        #expect(rejection.param == refused.field && rejection.code == .invalidRequest, "\(rejection)")
    }

    @Test func fileAndModelAreNeededOnceEach() {
        var form = FormBody()
        form.add(file: AudioFiles.wav(milliseconds: 5))
        #expect(Self.param(of: form) == "model")
        form = FormBody()
        form.add("model", "whisper-1")
        #expect(Self.param(of: form) == "file")
        form.add(file: AudioFiles.wav(milliseconds: 5))
        form.add(file: AudioFiles.wav(milliseconds: 5))
        #expect(Self.param(of: form) == "file")
        form = FormBody()
        form.add("model", "whisper-1")
        form.add(file: AudioFiles.wav(milliseconds: 5), name: "audio")
        #expect(throws: RequestRejection.self) { try form.inspect().get() }
        form = FormBody()
        form.add("model", "whisper-1")
        form.add(file: Array("no audio at all".utf8))
        #expect(Self.param(of: form) == "file")
    }

    @Test func aBodyThatIsNoFormIsRefused() {
        for type in ["application/json", "multipart/form-data"] {
            guard case .failure(let rejection) = FormBody.inspect(Array("{}".utf8), type) else {
                Issue.record("accepted: \(type)")
                continue
            }
            #expect(rejection.param == "content-type")
        }
    }

    private static func param(of form: FormBody) -> String? {
        guard case .failure(let rejection) = form.inspect() else { return nil }
        return rejection.param
    }
}

import Foundation
import Metering
import Testing

/// What cannot be metered is refused, by the name of its field, and nothing else is.
@Suite struct RequestInspectorTests {
    static func inspect(_ text: String) -> Result<InspectedRequest, RequestRejection> {
        var text = text
        return text.withUTF8 { RequestInspector.inspect(UnsafeRawBufferPointer($0), as: .chat) }
    }

    static func request(_ members: String = "") -> String {
        "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]\(members)}"
    }

    static func read(_ members: String) throws -> InspectedRequest {
        try self.inspect(self.request(members)).get()
    }

    /// The body with the edits applied, as an object.
    static func edited(_ body: String, usage: Bool, cap: Int64?) throws -> [String: Any] {
        let request = try self.inspect(body).get()
        var bytes = Array(body.utf8)
        let pins = request.serviceTier == .absent || request.serviceTier == .auto
        for edit in request.edits(injectUsage: usage, outputCap: cap, pinTier: pins).reversed() {
            bytes.replaceSubrange(edit.range, with: edit.replacement)
        }
        let object = try JSONSerialization.jsonObject(with: Data(bytes))
        // An edited body must still be one that we would accept ourselves.
        _ = try self.inspect(String(decoding: bytes, as: UTF8.self)).get()
        return try #require(object as? [String: Any])
    }

    @Test func fieldsAreRead() throws {
        let request = try Self.read(
            ",\"stream\":true,\"n\":2,\"max_tokens\":10,\"stream_options\":{\"include_usage\":true},\"service_tier\":\"flex\""
        )
        #expect(request.model == "gpt-4o-mini" && request.stream && request.includeUsage)
        #expect(request.choices == 2 && request.outputCap == 10 && request.serviceTier == .named(.flex))
        #expect(!request.unboundedInput)
        let plain = try Self.read("")
        #expect(!plain.stream && plain.choices == 1 && plain.outputCap == nil && plain.serviceTier == .absent)
    }

    @Test func theLargerOfTwoCapsBoundsTheHold() throws {
        #expect(try Self.read(",\"max_tokens\":5,\"max_completion_tokens\":9").outputCap == 9)
        #expect(try Self.read(",\"max_tokens\":9,\"max_completion_tokens\":null").outputCap == 9)
    }

    @Test func partsWhoseTokensBytesDoNotBoundAreNoticed() throws {
        let image = "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/y.png\"}}"
        let body =
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"},\(image)]}]}"
        #expect(try Self.inspect(body).get().unboundedInput)
    }

    @Test(arguments: [
        ("", true), (",\"stream_options\":null", true), (",\"stream_options\":{}", true),
        (",\"stream_options\":{\"include_obfuscation\":false}", true),
        (",\"stream_options\":{\"include_usage\":false}", true),
        (",\"stream_options\":{\"include_usage\":null}", true),
    ])
    func usageIsAskedForAndOtherOptionsStay(members: String, expected: Bool) throws {
        let object = try Self.edited(Self.request(",\"stream\":true\(members)"), usage: true, cap: nil)
        let options = try #require(object["stream_options"] as? [String: Any])
        #expect(options["include_usage"] as? Bool == expected)
        #expect(options.keys.contains("include_obfuscation") == members.contains("obfuscation"))
    }

    @Test func capAndTierArePutIn() throws {
        let object = try Self.edited(Self.request(), usage: false, cap: 77)
        #expect(
            object["max_completion_tokens"] as? Int == 77 && object["service_tier"] as? String == "default")
        for tier in ["\"auto\"", "null"] {
            let pinned = try Self.edited(Self.request(",\"service_tier\":\(tier)"), usage: true, cap: 5)
            #expect(pinned["service_tier"] as? String == "default")
        }
    }

    @Test(arguments: [
        ("\"max_tokens\":-1", "max_tokens"), ("\"max_tokens\":1.0", "max_tokens"),
        ("\"max_tokens\":1e2", "max_tokens"),
        ("\"max_tokens\":0", "max_tokens"), ("\"max_tokens\":99999999999999999999", "max_tokens"),
        ("\"max_completion_tokens\":true", "max_completion_tokens"), ("\"n\":129", "n"), ("\"n\":\"1\"", "n"),
        ("\"stream\":1", "stream"), ("\"stream_options\":3", "stream_options"),
        ("\"stream_options\":{\"include_usage\":\"x\"}", "stream_options.include_usage"),
        ("\"service_tier\":\"scale\"", "service_tier"), ("\"service_tier\":{}", "service_tier"),
        ("\"modalities\":[\"text\",\"video\"]", "modalities"), ("\"audio\":true", "audio"),
        ("\"prediction\":1", "prediction"), ("\"web_search_options\":\"x\"", "web_search_options"),
        ("\"prompt_cache_options\":{\"ttl\":\"24h\"}", "prompt_cache_options.ttl"),
        ("\"prompt_cache_options\":{\"prewarm\":1}", "prompt_cache_options.prewarm"),
    ])
    func aBadFieldIsNamed(members: String, param: String) {
        guard case .failure(let rejection) = Self.inspect(Self.request("," + members)) else {
            Issue.record("accepted")
            return
        }
        #expect(
            rejection.param == param && rejection.code == .invalidRequest && rejection.message.contains(param)
        )
    }

    @Test(arguments: [
        "", " ", "{", "{}x", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "{\"a\":01}", "{\"a\":1.}", "{\"a\":+1}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\\x\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00x\"}", "{\"a\":tru}", "{\"a\":1}}",
        "\u{feff}{}", "{\"a\":nul",
        "{\"a\":1 \"b\":2}", "{\"a\":[1,]}", "{\"a\":\"x", "{\"a\":1,\"\\u0061\":2}",
        "{\"x\":{\"a\":1,\"a\":2}}",
    ])
    func whatIsNoJSONIsRefused(text: String) {
        guard case .failure(let rejection) = Self.inspect(text) else {
            Issue.record("accepted")
            return
        }
        #expect(rejection.code == .invalidJSON)
    }

    @Test(
        arguments: [
            [0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82], [0x80],
        ] as [[UInt8]])
    func invalidUTF8IsRefused(bytes: [UInt8]) {
        let body = Array("{\"a\":\"".utf8) + bytes + Array("\"}".utf8)
        let result = body.withUnsafeBytes { RequestInspector.inspect($0, as: .chat) }
        #expect(throws: RequestRejection.self) { try result.get() }
    }

    /// A million keys must cost a million look-ups, and a hidden duplicate is found among them.
    @Test func aFloodOfKeysIsLinearAndDuplicatesAreFound() {
        let keys = (0..<200_000).map { "\"k\($0)\":0" }.joined(separator: ",")
        let good =
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"metadata\":{\(keys)}}"
        #expect(throws: Never.self) { try Self.inspect(good).get() }
        guard case .failure(let rejection) = Self.inspect(good.replacing(",\"k199999\":0", with: ",\"k7\":0"))
        else {
            Issue.record("a duplicate among many was accepted")
            return
        }
        #expect(rejection.code == .invalidJSON)
    }

    @Test(arguments: ["[", "{\"a\":"])
    func depthIsBounded(opening: String) {
        let closing = opening == "[" ? "]" : "}"
        func document(_ depth: Int) -> String {
            let inner =
                String(repeating: opening, count: depth) + "1" + String(repeating: closing, count: depth)
            return Self.request(",\"metadata\":" + inner)
        }
        #expect(throws: Never.self) { try Self.inspect(document(511)).get() }
        for depth in [512, 10_000, 200_000] {
            #expect(throws: RequestRejection.self) { try Self.inspect(document(depth)).get() }
        }
    }

    /// Never accept what a strict parser rejects; never crash.
    @Test func mutatedDocumentsAgreeWithAnIndependentParser() {
        let seed = UInt64.random(in: .min ... .max)
        print("inspector mutations, seed \(seed)")
        var dice = SplitMix64(state: seed)
        let base = Array(
            Self.request(
                ",\"stream\":true,\"n\":1,\"stop\":[\"a\\n\",\"\\u00e9\"],\"temperature\":-1.5e-3,\"x\":{\"y\":[null,true]}"
            ).utf8)
        for _ in 0..<20_000 {
            var bytes = base
            for _ in 0..<Int.random(in: 1...3, using: &dice) {
                let at = Int.random(in: 0..<bytes.count, using: &dice)
                switch Int.random(in: 0..<3, using: &dice) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &dice)
                case 1: bytes.remove(at: at)
                default: bytes.insert(Array("{}[]\",:\\0e-".utf8).randomElement(using: &dice) ?? 0, at: at)
                }
            }
            guard case .success = bytes.withUnsafeBytes({ RequestInspector.inspect($0, as: .chat) }) else {
                continue
            }
            if (try? JSONSerialization.jsonObject(with: Data(bytes))) == nil {
                Issue.record("seed \(seed): accepted \(String(decoding: bytes, as: UTF8.self))")
                return
            }
        }
    }
}

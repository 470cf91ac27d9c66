import Testing

@testable import Metering

/// Audio in messages. Its bytes are no bound: a WAV of one sample per second has a second in each byte.
@Suite struct InspectSoundTests {
    private static func part(_ data: String) -> String {
        #"{"type":"input_audio","input_audio":{"data":"\#(data)","format":"wav"}}"#
    }

    private static func chat(_ parts: [String]) throws -> (request: InspectedRequest, bytes: Int) {
        let list = parts.joined(separator: ",")
        let body = #"{"model":"m","messages":[{"role":"user","content":[\#(list)]}]}"#
        return (try Inspection.inspect(body, as: .chat).get(), body.utf8.count)
    }

    private static func response(_ parts: [String]) throws -> (request: InspectedRequest, bytes: Int) {
        let list = parts.joined(separator: ",")
        let body = #"{"model":"m","input":[{"role":"user","content":[\#(list)]}]}"#
        return (try Inspection.inspect(body, as: .responses).get(), body.utf8.count)
    }

    private static func tokens(_ asked: (request: InspectedRequest, bytes: Int)) -> Int64 {
        asked.request.bounds(bodyBytes: asked.bytes, permittedTiers: [.default]).inputTokensMax
    }

    /// As `AudioFiles.wav`, with a byte for each second.
    static func stretched(seconds: Int) -> [UInt8] {
        var bytes = AudioFiles.wav(milliseconds: 0)
        bytes.replaceSubrange(24..<28, with: AudioFiles.little(1))
        bytes.replaceSubrange(32..<36, with: [1, 0, 8, 0])
        return bytes + [UInt8](repeating: 7, count: seconds)
    }

    @Test func theLengthBoundsTheTokensNotTheBytes() throws {
        let hour = AudioFiles.base64(Self.stretched(seconds: 3600))
        for asked in [try Self.chat([Self.part(hour)]), try Self.response([Self.part(hour)])] {
            #expect(asked.request.media == .audioInput && !asked.request.unboundedInput)
            let bound = Self.tokens(asked)
            #expect(bound >= 36_000 && bound < 72_000 + 512, "\(bound)")
        }
        // Ten minutes of ordinary sound are 12.8 MB of base64, and some thousand tokens.
        let long = AudioFiles.base64(AudioFiles.wav(milliseconds: 60_001))
        let bound = Self.tokens(try Self.chat([Self.part(long)]))
        #expect(bound >= 61 * 20 && bound < 61 * 20 + 256, "\(bound)")
    }

    @Test func eachPartIsMeasuredByItself() throws {
        let half = Self.part(AudioFiles.base64(AudioFiles.wav(milliseconds: 500)))
        let one = try Self.chat([half])
        let three = try Self.chat([half, half, half])
        #expect(one.request.audioTokensEstimate == 10 && three.request.audioTokensEstimate == 30)
        #expect(Self.tokens(three) >= 60)
    }

    @Test func slashesThatAreEscapedAreNoObstacle() throws {
        var bytes = AudioFiles.wav(milliseconds: 2000)
        for index in 44..<2000 { bytes[index] = 0xff }
        let plain = AudioFiles.base64(bytes)
        let escaped = plain.split(separator: "/", omittingEmptySubsequences: false).joined(separator: #"\/"#)
        #expect(escaped != plain)
        let asked = try Self.chat([Self.part(escaped)])
        #expect(!asked.request.unboundedInput && asked.request.audioTokensEstimate == 20)
        #expect(Self.tokens(asked) < 512)
    }

    /// Held for by the model's context.
    @Test(arguments: [
        #"{"type":"input_audio","input_audio":{"data":"AAAAAAAA","format":"wav"}}"#,
        #"{"type":"input_audio","input_audio":{"data":"no base64","format":"mp3"}}"#,
        #"{"type":"input_audio","input_audio":{"data":null}}"#, #"{"type":"input_audio","input_audio":{}}"#,
        #"{"type":"input_audio"}"#,
    ]) func whatCannotBeMeasuredHasNoBoundOfItsOwn(_ part: String) throws {
        for request in [try Self.chat([part]).request, try Self.response([part]).request] {
            #expect(request.unboundedInput && request.media.contains(.audioInput))
        }
        let measured = Self.part(AudioFiles.base64(AudioFiles.wav(milliseconds: 500)))
        #expect(
            try Self.chat([measured, part]).request.unboundedInput, "one that is measured hides no other")
    }
}

import Foundation
import Metering
import NIOCore
import Testing

@testable import Proxy

/// One line per request, whatever a client puts into it.
@Suite struct AccessLineTests {
    @Test func hostileTextsStayInTheirMembers() throws {
        var record = AccessRecord(
            finishedAt: 1_795_464_503_123, client: ClientAddress(nil), transport: .tls, minorVersion: 1,
            method: "POST",
            path: "/a\"b\\c", endpoint: .chat, status: 200, end: .complete, requestBytes: 1, responseBytes: 2,
            duration: .microseconds(3))
        record.user = "u\n{\"status\":500}\u{2028}\u{7f}\u{85}é😀" + String(repeating: "x", count: 500)
        record.charged = Millicredits(-5)
        var out = ByteBuffer()
        AccessLine.write(record, into: &out)
        let line = String(buffer: out)
        #expect(line.hasSuffix("}\n") && line.filter { $0 == "\n" }.count == 1)
        let members = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(members["path"] as? String == "/a\"b\\c" && members["status"] as? Int == 200)
        #expect(
            (members["user"] as? String)?.hasPrefix("u\n{\"status\":500}\u{2028}\u{7f}\u{85}é😀xx") == true)
        #expect((members["user"] as? String)?.utf8.count ?? 999 <= 256)
        #expect(members["charged_millicredits"] as? Int == -5 && members["model"] == nil)
        #expect(members["time"] as? String == "2026-11-23T20:08:23.123Z" && members["tls"] as? Bool == true)
    }

    private static func line(user: String) -> String {
        var record = AccessRecord(
            finishedAt: 1_795_464_503_123,
            client: ClientAddress(parsing: "2001:db8::1") ?? ClientAddress(nil),
            transport: .http2, minorVersion: 1, method: user, path: user, endpoint: .unmetered, status: 200,
            end: .upstreamRefused, requestBytes: .max, responseBytes: .max, duration: .nanoseconds(.max))
        record.hold = HoldID(high: .max, low: .max)
        record.user = user
        record.model = user
        record.stream = false
        record.priceID = user
        record.held = Millicredits(Millicredits.magnitudeMax)
        record.charged = Millicredits(-Millicredits.magnitudeMax)
        record.inputTokens = .max
        record.outputTokens = .max
        record.estimatedBecause = .clientGone
        record.firstByte = .nanoseconds(.max)
        record.upstream = .nanoseconds(.max)
        record.upstreamRequestID = user
        record.upstreamReused = false
        record.retried = true
        var out = ByteBuffer()
        AccessLine.write(record, into: &out)
        return String(buffer: out)
    }

    /// A line is written at once, or two processes would mix theirs: escapes make the longest ones.
    @Test(arguments: ["\u{1}", "\u{2028}", "\"", "\\", "é", "😀", "x"])
    func theLongestLineIsWrittenAtOnce(text: String) throws {
        for prefix in ["", "x", "xy"] {
            let line = Self.line(user: prefix + String(repeating: text, count: 1000))
            #expect(line.utf8.count <= LogFile.bytesAtOnceMax && line.hasSuffix("}\n"))
            let members = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            let user = try #require(members?["user"] as? String)
            #expect(
                user.utf8.count > 40
                    && user.drop { "xy".contains($0) }.allSatisfy { String($0) == text || text == "x" })
        }
    }

    /// The fast way and the careful one write the same.
    @Test func everyCharacterComesBack() throws {
        let seed = UInt64.random(in: 0...(.max >> 1))
        var random = SeededRandom(seed: seed)
        let sharp = [
            "\"", "\\", "\n", "\r", "\0", "\u{7f}", "\u{9f}", "\u{a0}", "\u{2029}", "é", "\u{ffff}", "😀", "a",
            "~", " ",
        ]
        for _ in 0..<300 {
            let text = (0..<Int.random(in: 0...30, using: &random)).map { _ in random.pick(sharp) }.joined()
            let line = Self.line(user: text)
            #expect(line.unicodeScalars.filter { $0.properties.generalCategory == .control } == ["\n"])
            let members = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            #expect(members?["user"] as? String == text, "seed \(seed)")
        }
    }
}

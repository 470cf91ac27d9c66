import Metering
import Testing

/// A tap that lets only so many tokens go on: exactly those, whatever the split; and with more allowed, all of it.
@Suite struct SSEUsageTapAllowanceTests {
    static let frames = (0..<12).map { StreamFixture.chunk("w\($0)") }
    static let role = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n"
    static let end =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"

    static func bytes(crlf: Bool) -> [UInt8] {
        let text = self.role + self.frames.joined() + self.end
        return Array((crlf ? text.replacing("\n", with: "\r\n") : text).utf8)
    }

    /// Feeds pieces as the relay does: what was not looked at is fed again after `raise`.
    static func run(
        _ bytes: [UInt8], pieces: [Range<Int>], allowed: Int, raise: (Int) -> Int?
    ) -> (out: [UInt8], tap: SSEUsageTap) {
        var tap = SSEUsageTap(stripUsage: true)
        tap.visibleTokensMax = Int64(allowed)
        var out: [UInt8] = []
        for piece in pieces {
            var rest = Array(bytes[piece])
            while true {
                let consumed = rest.withUnsafeBytes { raw in
                    let released = tap.feed(raw)
                    out += released.carried
                    released.forEachFreshRange { out += raw[$0] }
                    return released.consumed
                }
                rest.removeFirst(consumed)
                guard tap.isExhausted else { break }
                guard let more = raise(tap.visibleDeltas) else { return (out, tap) }
                tap.visibleTokensMax = Int64(more)
            }
        }
        out += tap.finish().carried
        return (out, tap)
    }

    static func pieces(_ count: Int, using dice: inout SplitMix64) -> [Range<Int>] {
        let cuts = (0..<Int.random(in: 0...20, using: &dice)).map { _ in
            Int.random(in: 0...count, using: &dice)
        }
        let edges = [0] + cuts.sorted() + [count]
        return zip(edges, edges.dropFirst()).map { $0..<$1 }
    }

    @Test(arguments: [false, true]) func onlyWhatIsAllowedGoesOn(crlf: Bool) {
        let seed = UInt64.random(in: .min ... .max)
        print("SSEUsageTapAllowanceTests.only, seed \(seed)")
        var dice = SplitMix64(state: seed)
        let bytes = Self.bytes(crlf: crlf)
        for round in 0..<2000 {
            let allowed = round % 13
            let pieces =
                round == 0 ? (0..<bytes.count).map { $0..<$0 + 1 } : Self.pieces(bytes.count, using: &dice)
            let (out, tap) = Self.run(bytes, pieces: pieces, allowed: allowed) { _ in nil }
            let text = String(decoding: out, as: UTF8.self).replacing("\r\n", with: "\n")
            let whole = Self.role + Self.frames.prefix(allowed).joined() + (allowed == 12 ? Self.end : "")
            guard text == whole, tap.visibleDeltas == allowed, tap.sawDone == (allowed == 12) else {
                Issue.record(
                    "seed \(seed) round \(round), \(allowed) allowed: \(tap.visibleDeltas), \(text.count)")
                return
            }
        }
    }

    @Test(arguments: [false, true]) func withMoreAllowedNothingIsLost(crlf: Bool) {
        let seed = UInt64.random(in: .min ... .max)
        print("SSEUsageTapAllowanceTests.more, seed \(seed)")
        var dice = SplitMix64(state: seed)
        let bytes = Self.bytes(crlf: crlf)
        for round in 0..<2000 {
            var steps = dice
            let (out, tap) = Self.run(
                bytes, pieces: Self.pieces(bytes.count, using: &dice), allowed: round % 5
            ) {
                $0 + Int.random(in: 1...4, using: &steps)
            }
            guard out == bytes, tap.visibleDeltas == 12, tap.sawDone else {
                Issue.record("seed \(seed) round \(round): \(out.count) of \(bytes.count)")
                return
            }
        }
    }

    @Test func aResponseStopsBetweenItsEvents() {
        var tap = SSEUsageTap(shape: .responses, stripUsage: false)
        tap.visibleTokensMax = 1
        let event =
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n"
        let out = Array((event + event).utf8).withUnsafeBytes { raw in
            var out: [UInt8] = []
            tap.feed(raw).forEachFreshRange { out += raw[$0] }
            return String(decoding: out, as: UTF8.self)
        }
        #expect(out == event + "event: response.output_text.delta\n")
        #expect(tap.isExhausted && tap.visibleDeltas == 1 && !tap.isInsideReleasedLine)
    }
}

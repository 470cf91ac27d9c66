import Metering
import Testing

@Suite struct SettlementPayloadTests {
    static let plain = Settlement(
        account: 42, hold: HoldID(high: 0x0193_0000_0000_7001, low: 0x8000_0000_0000_0002),
        owner: HoldID(high: 0x0193_0000_0000_7003, low: 0x8000_0000_0000_0004), kind: .final,
        authority: .owner,
        endpoint: .chat, modelRequested: "gpt-4o-mini", modelServed: "gpt-4o-mini-2024-07-18",
        servedTier: "default", priceID: "openai@2026-11-12/gpt-4o-mini",
        usage: Usage(input: 10, cachedInput: 20, cacheWrite: 3, output: 40, reasoning: 5),
        charge: Charge(amount: Millicredits(1234), cost: PicoUSD(617_000_000)), upstreamRequestID: "req_1",
        occurredAtMilliseconds: 1_763_900_000_000)

    /// The digest is stored for years; a change of the text is a change of version.
    @Test func theEncodingIsFixed() {
        let expected =
            "1;42;01930000-0000-7001-8000-000000000002;01930000-0000-7003-8000-000000000004;1;2;chat;gpt-4o-mini;"
            + "gpt-4o-mini-2024-07-18;default;openai@2026-11-12/gpt-4o-mini;10;20;3;40;5;1234;617000000;1234;~;req_1;"
            + "1763900000000"
        #expect(String(decoding: Self.plain.encode(), as: UTF8.self) == expected)
    }

    /// Only what has rare parts needs a newer reader.
    @Test func rarePartsMakeASecondVersion() throws {
        var other = Self.plain
        other.usage.audio.output = 7
        other.usage.tools[.webSearch] = 2
        let text = String(decoding: other.encode(), as: UTF8.self)
        #expect(text.hasPrefix("2;42;"))
        #expect(text.contains(";40;5;audio_output_tokens=7,web_search_calls=2;1234;"))
        #expect(try Settlement(decoding: text.utf8) == other)
        #expect(
            other.usage.rarePartsJSON == #"{"audio_output_tokens":7,"web_search_calls":2}"#
                && Self.plain.usage.rarePartsJSON == nil)
    }

    @Test(arguments: [
        "", "=", "audio_output_tokens", "audio_output_tokens=", "audio_output_tokens=0",
        "audio_output_tokens=07", "audio_output_tokens=-1", "telepathy=1", "audio_output_tokens=1,",
        "web_search_calls=1,audio_output_tokens=1", "characters=1,characters=1",
    ])
    func partsThatWereNotWrittenAreRefused(parts: String) {
        var other = Self.plain
        other.usage.characters = 1
        let text = String(decoding: other.encode(), as: UTF8.self)
        #expect(throws: SettlementPayloadFailure.malformed(field: 16)) {
            try Settlement(decoding: text.replacing("characters=1", with: parts).utf8)
        }
    }

    /// Redis and the journal carry what the ledger must get back unchanged, whatever a model is called.
    @Test func everySettlementComesBackAsItWent() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(state: seed)
        for round in 0..<5_000 {
            let settlement = Self.random(&random)
            let bytes = settlement.encode()
            #expect(bytes.count <= SettlementPayload.encodedBytesMax)
            let back = try Settlement(decoding: bytes)
            #expect(back == settlement, "seed \(seed), round \(round)")
            #expect(
                back.encode() == bytes && back.digest == settlement.digest, "seed \(seed), round \(round)")
        }
    }

    /// Which texts have no need of escapes is found eight bytes at a time.
    @Test func everyCharacterInEveryPlaceComesBack() throws {
        for length in 1...18 {
            for place in 0..<length {
                for code in UInt8.min...0xff {
                    var text = [Character](repeating: "z", count: length)
                    text[place] = Character(Unicode.Scalar(code))
                    var settlement = Self.plain
                    settlement.modelServed = String(text)
                    let bytes = settlement.encode()
                    #expect(try Settlement(decoding: bytes) == settlement, "\(code) at \(place) of \(length)")
                    #expect(bytes.count { $0 == UInt8(ascii: ";") } == 21)
                }
            }
        }
    }

    /// Two different outcomes of one hold must not look the same to the conflict check.
    @Test func theDigestSeesEveryField() {
        var digests: Set<Int64> = [Self.plain.digest]
        func expectNew(_ change: (inout Settlement) -> Void) {
            var other = Self.plain
            change(&other)
            #expect(digests.insert(other.digest).inserted)
        }
        expectNew { $0.account += 1 }
        expectNew { $0.kind = .waived }
        expectNew { $0.authority = .recovery }
        expectNew { $0.endpoint = .responses }
        expectNew { $0.modelRequested = "gpt-4o" }
        expectNew { $0.modelServed = nil }
        expectNew { $0.modelServed = "~" }
        expectNew { $0.servedTier = "" }
        expectNew { $0.priceID += "x" }
        expectNew { $0.usage.input += 1 }
        expectNew { $0.usage.reasoning += 1 }
        expectNew { $0.usage.cacheWriteLong += 1 }
        expectNew { $0.usage.audio.input += 1 }
        expectNew { $0.usage.audio.cachedInput += 1 }
        expectNew { $0.usage.audio.output += 1 }
        expectNew { $0.usage.image.input += 1 }
        expectNew { $0.usage.image.cachedInput += 1 }
        expectNew { $0.usage.image.output += 1 }
        for kind in ToolKind.allCases { expectNew { $0.usage.tools[kind] += 1 } }
        expectNew { $0.usage.inputMilliseconds += 1 }
        expectNew { $0.usage.characters += 1 }
        expectNew { $0.charge.amount = Millicredits(1235) }
        expectNew { $0.charge.cost = PicoUSD(1) }
        expectNew { $0.shadow = .zero }
        expectNew { $0.estimatedBecause = .proxyDied }
        expectNew { $0.upstreamRequestID = nil }
        expectNew { $0.occurredAtMilliseconds += 1 }
        for stored in StoredReplyTests.replies { expectNew { $0.stored = stored } }
    }

    /// A text that an upstream made too long is cut between characters, and what was cut stays so.
    @Test func aPayloadIsBoundedWhateverAPeerSends() throws {
        var settlement = Self.plain
        settlement.modelServed = "a" + String(repeating: "é", count: 5_000)
        settlement.upstreamRequestID = String(repeating: ";", count: 5_000)
        let back = try Settlement(decoding: settlement.encode())
        #expect(back.modelServed == "a" + String(repeating: "é", count: 127))
        #expect(back.upstreamRequestID == String(repeating: ";", count: 256))
        #expect(back.digest == settlement.digest)
        #expect(settlement.encode().count <= SettlementPayload.encodedBytesMax)
    }

    @Test func whatIsNotASettlementIsRefusedByName() {
        func failure(_ change: (inout [String]) -> Void) -> SettlementPayloadFailure? {
            var fields = String(decoding: Self.plain.encode(), as: UTF8.self)
                .split(separator: ";", omittingEmptySubsequences: false).map(String.init)
            change(&fields)
            do {
                _ = try Settlement(decoding: Array(fields.joined(separator: ";").utf8))
                return nil
            } catch { return error }
        }
        #expect(failure { _ in } == nil)
        #expect(failure { $0[0] = "4" } == .unknownVersion)
        #expect(failure { $0 = [""] } == .unknownVersion)
        #expect(failure { $0.append("1") } == .wrongFieldCount)
        #expect(failure { $0[1] = "+42" } == .malformed(field: 1))
        #expect(failure { $0[2] = "01930000" } == .malformed(field: 2))
        #expect(failure { $0[4] = "9" } == .malformed(field: 4))
        #expect(failure { $0[6] = "telepathy" } == .malformed(field: 6))
        #expect(failure { $0[7] = "~" } == .malformed(field: 7))
        #expect(failure { $0[7] = "a%4" } == .malformed(field: 7))
        #expect(failure { $0[7] = "%FF" } == .malformed(field: 7))
        #expect(failure { $0[11] = "-0" } == .malformed(field: 11))
        #expect(failure { $0[16] = "9000000000000001" } == .malformed(field: 16))
        #expect(failure { $0[16] = "-1" } == .contradictory)
        #expect(failure { $0[4] = "2" } == .contradictory)
        #expect(failure { $0[4] = "4" } == .contradictory)
        #expect(failure { $0[8] = String(repeating: "x", count: 9_000) } == .tooLong)
    }

    /// A bit that fell over gives an error or another settlement, never a trap.
    @Test func noSingleByteMakesTheReaderTrap() {
        let bytes = Self.plain.encode()
        for position in bytes.indices {
            for value in stride(from: UInt8(1), to: 255, by: 11) {
                var changed = bytes
                changed[position] = value
                if let read = try? Settlement(decoding: changed) { #expect(read.charge.amount >= .zero) }
            }
        }
    }

    private static func random(_ random: inout SplitMix) -> Settlement {
        func id() -> HoldID { HoldID(high: random.next(), low: random.next()) }
        func text() -> String {
            let alphabet: [Character] = [
                "a", ";", "%", "~", "|", "\n", "\0", "é", "模", "🜁", "\u{7f}", " ", "e\u{301}",
            ]
            return String(
                (0..<Int.random(in: 0...20, using: &random)).map { _ in
                    alphabet.randomElement(using: &random)!
                })
        }
        func number() -> Int64 { Int64.random(in: .min ... .max, using: &random) }
        func money() -> Millicredits {
            Millicredits(Int64.random(in: 0...Millicredits.magnitudeMax, using: &random))
        }
        let kind = Settlement.Kind.allCases.randomElement(using: &random)!
        return Settlement(
            account: number(), hold: id(), owner: id(), kind: kind,
            authority: Settlement.Authority.allCases.randomElement(using: &random)!,
            endpoint: Endpoint.allCases.randomElement(using: &random)!, modelRequested: text(),
            modelServed: Bool.random(using: &random) ? text() : nil,
            servedTier: Bool.random(using: &random) ? text() : nil, priceID: text(),
            usage: Self.usage(&random),
            charge: kind == .void
                ? .zero : Charge(amount: kind == .waived ? .zero : money(), cost: PicoUSD(number())),
            shadow: money(),
            estimatedBecause: Bool.random(using: &random)
                ? EstimateReason.allCases.randomElement(using: &random) : nil,
            upstreamRequestID: Bool.random(using: &random) ? text() : nil, occurredAtMilliseconds: number(),
            stored: Bool.random(using: &random) ? Self.stored(&random) : nil)
    }

    private static func stored(_ random: inout SplitMix) -> StoredReply? {
        func count() -> Int64 { Int64.random(in: 0 ... .max, using: &random) }
        let length = [1, 53, 128].randomElement(using: &random) ?? 1
        guard let id = ResponseID(String(repeating: "r", count: length)) else { return nil }
        let isKnown = Bool.random(using: &random)
        return StoredReply(id: id, context: isKnown ? ContextTokens(input: count(), output: count()) : nil)
    }

    /// Of half of them some parts are rare ones.
    private static func usage(_ random: inout SplitMix) -> Usage {
        func number() -> Int64 { Int64.random(in: .min ... .max, using: &random) }
        var usage = Usage(
            input: number(), cachedInput: number(), cacheWrite: number(), output: number(),
            reasoning: number())
        guard Bool.random(using: &random) else { return usage }
        func part() -> Int64 { Bool.random(using: &random) ? 0 : .random(in: 1 ... .max, using: &random) }
        usage.cacheWriteLong = part()
        usage.audio = MediaTokens(input: part(), cachedInput: part(), output: part())
        usage.image = MediaTokens(input: part(), cachedInput: part(), output: part())
        for kind in ToolKind.allCases { usage.tools[kind] = part() }
        (usage.inputMilliseconds, usage.characters) = (part(), part())
        return usage
    }
}

private struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var z = self.state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

import Testing

@testable import Metering

/// The ledger keeps totals and parts by name; from them a price can be computed again.
@Suite struct UsagePartTests {
    @Test func everyUsageComesBackFromTheColumnsOfTheLedger() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var dice = SplitMix64(state: seed)
        for round in 0..<2000 {
            func count() -> Int64 {
                Bool.random(using: &dice) ? 0 : Int64.random(in: 1...1_000_000, using: &dice)
            }
            var usage = Usage(
                input: count(), cachedInput: count(), cacheWrite: count(), output: count(), reasoning: count()
            )
            for (_, path) in Usage.rareParts where round % 3 != 0 { usage[keyPath: path] = count() }
            let parts = usage.rarePartsJSON.map { UsagePart.parse(json: $0) } ?? []
            #expect(parts == usage.parts, "seed \(seed)")
            let back = Usage(
                inputTotal: usage.inputTotal, cachedInput: usage.cachedInput, cacheWrite: usage.cacheWrite,
                outputTotal: usage.outputTotal, reasoning: usage.reasoning,
                // PostgreSQL sorts them as it likes.
                parts: usage.parts.reversed())
            #expect(back == usage, "seed \(seed)")
        }
    }

    @Test(arguments: [
        "", "{}", "{", "null", "[1]", #"{"a"}"#, #"{"a":}"#, #"{"a":1.5}"#, #"{"a":"1"}"#, #"{a:1}"#,
        #"{"":1}"#,
        #"{"a":1,}"#, #"{"a":{"b":1}}"#, #"{"a":9223372036854775808}"#,
    ])
    func whatIsNoObjectOfCountsIsNotRead(text: String) {
        #expect(UsagePart.parse(json: text) == nil)
    }

    @Test func postgresPutsBlanksBetween() {
        #expect(
            UsagePart.parse(json: #"{"characters": 12, "audio_input_tokens": 3}"#)
                == [UsagePart("characters", 12), UsagePart("audio_input_tokens", 3)])
    }

    @Test(
        arguments: [
            (10, 10, [UsagePart("audio_input_tokens", 11)]),
            (10, 10, [UsagePart("image_output_tokens", 8)]),
            (10, 10, [UsagePart("no_such_part", 1)]),
            (10, 10, [UsagePart("characters", -1)]),
            (10, 10, [UsagePart("characters", 1), UsagePart("characters", 1)]),
            (2, 10, []), (10, 2, []), (-1, 10, []),
        ] as [(Int64, Int64, [UsagePart])])
    func partsThatDoNotFitAreNoUsage(input: Int64, output: Int64, parts: [UsagePart]) {
        let usage = Usage(
            inputTotal: input, cachedInput: 3, cacheWrite: 0, outputTotal: output, reasoning: 3, parts: parts)
        #expect(usage == nil)
    }
}

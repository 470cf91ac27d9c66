import Metering
import Testing

@testable import Tollgate

@Suite struct JournalTextTests {
    /// What the ledger would keep can be read in the journal before it is there.
    @Test func anOutcomeIsToldWithTotalsAndItsParts() {
        var usage = Usage(input: 10, cachedInput: 3, output: 7, reasoning: 1)
        #expect(Self.facts(usage).hasSuffix("input=13 output=8"))
        usage.audio = MediaTokens(input: 40, output: 5)
        usage.tools[.webSearch] = 2
        #expect(
            Self.facts(usage).hasSuffix(
                "input=53 output=13 audio_input_tokens=40 audio_output_tokens=5 web_search_calls=2"))
    }

    private static func facts(_ usage: Usage) -> String {
        let hold = HoldID(millisecondsSinceEpoch: 1_800_000_000_000, randomA: 1, randomB: 2)
        return JournalText.facts(
            Settlement(
                account: 1, hold: hold, owner: hold, kind: .final, authority: .owner, endpoint: .chat,
                modelRequested: "m", priceID: "c@1/m", usage: usage, charge: .zero, occurredAtMilliseconds: 0)
        )
    }
}

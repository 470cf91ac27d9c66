import Metering
import Testing

/// Amounts that people write must come back as they were written.
@Suite struct MoneyDecimalTests {
    @Test func randomDecimalsSurviveParsingAndPrinting() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("MoneyDecimalTests, seed \(seed)")
        var dice = SplitMix64(state: seed)
        for round in 0..<100_000 {
            let digits = Int.random(in: 1...30, using: &dice)
            let scale = Int.random(in: 0..<digits, using: &dice)
            var text = (0..<digits).map { _ in String(Int.random(in: 0...9, using: &dice)) }.joined()
            if scale > 0 { text.insert(".", at: text.index(text.endIndex, offsetBy: -scale)) }
            let read = try ExactDecimal(parsing: text)
            let again = try ExactDecimal(parsing: read.description)
            // The oracle is the text itself, without the zeros that carry no value.
            guard read == again, read.description == Self.plain(text) else {
                Issue.record("seed \(seed) round \(round): \(text) was printed as \(read)")
                return
            }
        }
    }

    private static func plain(_ text: String) -> String {
        var text = Substring(text)
        if text.contains(".") {
            while text.last == "0" { text.removeLast() }
            if text.last == "." { text.removeLast() }
        }
        while text.count > 1, text.first == "0", text.dropFirst().first != "." { text.removeFirst() }
        return String(text)
    }

    @Test func limitsOfDigitsAndSign() throws {
        let longest = String(repeating: "9", count: 30)
        #expect(try ExactDecimal(parsing: longest).description == longest)
        #expect(throws: ExactDecimal.ParseFailure.tooManyDigits) { try ExactDecimal(parsing: longest + "9") }
        #expect(try ExactDecimal(parsing: "-0.00") == (try ExactDecimal(parsing: "0")))
        #expect(try ExactDecimal(parsing: "-1.50").description == "-1.5")
        #expect(
            try ExactDecimal(parsing: longest).scaledToInteger(powerOfTen: 12) == nil, "more than 128 bits")
        let large = try ExactDecimal(parsing: longest)
        #expect(large.multiplied(by: large) == nil, "more than 128 bits")
        #expect(
            try ExactDecimal(parsing: "0.15").multiplied(by: ExactDecimal(parsing: "2.0"))?.description
                == "0.3")
    }

    /// The ledger's range is exact in Redis' Lua; what leaves it is an answer, never a trap.
    @Test func balancesStayWithinTheLedgersRange() throws {
        let most = try #require(Millicredits(exactly: Millicredits.magnitudeMax))
        let least = try #require(Millicredits(exactly: -Millicredits.magnitudeMax))
        #expect(most.adding(Millicredits(1)) == nil && least.subtracting(Millicredits(1)) == nil)
        #expect(most.subtracting(most) == .zero && most.adding(least) == .zero)
        #expect(
            Millicredits(exactly: Millicredits.magnitudeMax + 1) == nil && Millicredits(exactly: .min) == nil)
        #expect(Millicredits(credits: .max) == nil && Millicredits(credits: 9990)?.value == 9_990_000)
    }

    /// Half-even has no drift: over all remainders of a period, as much is rounded up as down.
    @Test func halfEvenRoundingHasNoDrift() throws {
        var sum: Int64 = 0
        for tenths in Int128(0)..<200 {
            sum += try Millicredits(rounding: AttoUSD(tenths * AttoUSD.perMillicredit / 10), mode: .exact)
                .value
        }
        #expect(sum == 1990, "0.0 + 0.1 + … + 19.9")
    }
}

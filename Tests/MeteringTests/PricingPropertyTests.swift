import Metering
import Testing

/// Money: exact, rounded once, and the hold always covers the charge.
@Suite struct PricingTests {
    static func rates(_ input: Int128, _ cached: Int128, _ write: Int128, _ output: Int128) -> TokenRates {
        TokenRates(input: input, cachedInput: cached, cacheWrite: write, output: output)
    }

    static func row(
        _ tiers: [ServiceTier: TokenRates], long: (Int64, [ServiceTier: TokenRates])? = nil,
        context: Int64 = 1000,
        outputMax: Int64 = 100
    ) -> ModelPrice {
        func price(_ rates: TokenRates) -> TierPrice { TierPrice(cost: rates, price: rates) }
        return ModelPrice(
            priceID: "c@1/m", model: "m", endpoints: [.chat], context: context, outputMax: outputMax,
            tiers: tiers.mapValues(price),
            longContext: long.map { LongContextPrice(threshold: $0.0, tiers: $0.1.mapValues(price)) },
            onDisconnect: nil)
    }

    /// Half-even to the millicredit; ceil to the credit; a hold rounds up.
    @Test(
        arguments: [
            (0, 0, 0, 0), (499_999_999_999, 0, 1000, 1), (500_000_000_000, 0, 1000, 1),
            (500_000_000_001, 1, 1000, 1),
            (1_000_000_000_000, 1, 1000, 1), (1_500_000_000_000, 2, 1000, 2), (2_500_000_000_000, 2, 1000, 3),
            (1_000_000_000_000_000, 1000, 1000, 1000), (1_000_000_000_000_001, 1000, 2000, 1001),
        ] as [(Int128, Int64, Int64, Int64)])
    func roundingIsDoneOnceAndByName(atto: Int128, exact: Int64, ceil: Int64, hold: Int64) throws {
        #expect(try Millicredits(rounding: AttoUSD(atto), mode: .exact).value == exact)
        #expect(try Millicredits(rounding: AttoUSD(atto), mode: .ceil).value == ceil)
        #expect(try Millicredits(roundingUp: AttoUSD(atto), mode: .exact).value == hold)
    }

    @Test func absurdAmountsAreRefusedNotClamped() {
        let row = Self.row([.default: Self.rates(.max / 4, 0, 0, 0)])
        #expect(throws: PricingFailure.self) {
            try row.charge(for: Usage(input: 1000, output: 0), served: .default, mode: .exact)
        }
        #expect(throws: PricingFailure.amountTooLarge) {
            try Millicredits(rounding: AttoUSD(2_000_000_000_000 * AttoUSD.perMillicredit), mode: .exact)
        }
    }

    @Test func anUnknownServedTierIsChargedAtTheDearestPermitted() throws {
        let row = Self.row([
            .default: Self.rates(1_000_000_000_000, 0, 0, 0), .flex: Self.rates(500_000_000_000, 0, 0, 0),
        ])
        let usage = Usage(input: 10, output: 0)
        #expect(try row.charge(for: usage, served: .flex, mode: .exact).amount.value == 5)
        #expect(
            try row.charge(for: usage, served: nil, permitted: [.flex, .default], mode: .exact).amount.value
                == 10)
    }

    /// hold ≥ charge for every usage the request permits; the affordable cap is maximal; charges are
    /// monotone.
    @Test func holdsCoverEveryPermittedUsage() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("pricing property, seed \(seed)")
        var dice = SplitMix64(state: seed)
        func rate() -> Int128 { Int128(Int64.random(in: 0...2_000_000, using: &dice)) * 2_500_000_000 }
        func rates() -> TokenRates { Self.rates(rate(), rate(), rate(), rate()) }
        for round in 0..<100_000 {
            let tiers: [ServiceTier: TokenRates] = [.default: rates(), .flex: rates(), .priority: rates()]
            let long: (Int64, [ServiceTier: TokenRates])? =
                Bool.random(using: &dice)
                ? (.random(in: 0...900, using: &dice), [.default: rates(), .flex: rates()]) : nil
            let row = Self.row(tiers, long: long)
            let mode = RoundingMode.allCases.randomElement(using: &dice) ?? .exact
            let permitted: [ServiceTier] = [.default] + (Bool.random(using: &dice) ? [.priority] : [.flex])
            let bounds = RequestBounds(
                inputTokensMax: .random(in: 0...1500, using: &dice),
                choices: .random(in: 1...3, using: &dice),
                permittedTiers: permitted)
            let cap = Int64.random(in: 0...150, using: &dice)
            let hold = try row.worstCase(bounds, outputCap: cap, mode: mode)
            let usage = Self.permittedUsage(bounds, cap: cap, row, using: &dice)
            let served = permitted.randomElement(using: &dice)
            let charge = try row.charge(for: usage, served: served, permitted: permitted, mode: mode).amount
            var more = usage
            more.output += 1
            let dearer = try row.charge(for: more, served: served, permitted: permitted, mode: mode).amount
            guard charge <= hold, charge <= dearer else {
                Issue.record(
                    "seed \(seed) round \(round): hold \(hold) charge \(charge) of \(usage), then \(dearer)")
                return
            }
            if round % 20 == 0, let affordable = row.affordableOutputCap(bounds, within: hold, mode: mode) {
                let fits = try row.worstCase(bounds, outputCap: affordable, mode: mode) <= hold
                let next = try row.worstCase(bounds, outputCap: affordable + 1, mode: mode) > hold
                guard fits, next || affordable == row.outputMax, affordable >= min(cap, row.outputMax) else {
                    Issue.record(
                        "seed \(seed) round \(round): affordable \(affordable) is not maximal under \(hold)")
                    return
                }
            }
        }
    }

    private static func permittedUsage(
        _ bounds: RequestBounds, cap: Int64, _ row: ModelPrice, using dice: inout SplitMix64
    ) -> Usage {
        let input = Int64.random(in: 0...min(bounds.inputTokensMax, row.context), using: &dice)
        let cached = Int64.random(in: 0...input, using: &dice)
        let write = Int64.random(in: 0...(input - cached), using: &dice)
        let output = Int64.random(in: 0...(bounds.choices * min(cap, row.outputMax)), using: &dice)
        let reasoning = Int64.random(in: 0...output, using: &dice)
        return Usage(
            input: input - cached - write, cachedInput: cached, cacheWrite: write, output: output - reasoning,
            reasoning: reasoning)
    }
}

/// Decimals are read exactly, and refused otherwise.
@Suite struct ExactDecimalTests {
    @Test(arguments: [
        "0", "1", "-1", "0.15", "2.4", "1000000", "0.000001", "-0.5", "123456789012345678901234567890",
    ])
    func whatIsReadIsPrintedTheSame(text: String) throws {
        #expect(try ExactDecimal(parsing: text).description == text)
    }

    @Test(arguments: ["", ".", "1.", ".5", "+1", "1e3", "1,5", " 1", "1 ", "0x1", "--1", "1.2.3", "NaN", "١"])
    func anythingElseIsRefused(text: String) {
        #expect(throws: ExactDecimal.ParseFailure.self) { try ExactDecimal(parsing: text) }
    }

    @Test func trailingZerosDoNotMatterAndScalingIsExact() throws {
        let decimal = try ExactDecimal(parsing: "0.150")
        #expect(decimal == (try ExactDecimal(parsing: "0.15")))
        #expect(decimal.scaledToInteger(powerOfTen: 6) == 150_000)
        #expect(decimal.scaledToInteger(powerOfTen: 1) == nil, "0.15 × 10 is no whole number")
        #expect(Millicredits(3720).creditsText == "3.72" && Millicredits(-5).creditsText == "-0.005")
    }
}

/// Reports are partitioned into disjoint parts, or not believed (MONEY_PATH C14).
@Suite struct UsageTests {
    static func report(
        _ prompt: Int64?, _ completion: Int64?, cached: Int64? = nil, write: Int64? = nil,
        reasoning: Int64? = nil,
        total: Int64? = nil, audio: Int64? = nil
    ) -> ReportedUsage {
        var report = ReportedUsage()
        (report.inputTokens, report.outputTokens, report.totalTokens) = (prompt, completion, total)
        (report.cachedTokens, report.cacheWriteTokens, report.reasoningTokens) = (cached, write, reasoning)
        report.inputAudioTokens = audio
        return report
    }

    @Test func partsSumToTheReportedTotals() throws {
        let report = Self.report(100, 50, cached: 30, write: 20, reasoning: 40, total: 150)
        let usage = try Usage(report, within: UsageLimits(inputMax: 1000, outputMax: 1000))
        #expect(usage == Usage(input: 50, cachedInput: 30, cacheWrite: 20, output: 10, reasoning: 40))
        #expect(usage.inputTotal == 100 && usage.outputTotal == 50)
    }

    @Test(arguments: [
        (report(nil, 1), UsageDistrust.malformed), (report(1, nil), .malformed), (report(-1, 1), .malformed),
        (report(1, 9_000_000_000_000_000_000), .impossible), (report(1001, 1), .impossible),
        (report(10, 10, cached: 11), .inconsistent), (report(10, 10, cached: 6, write: 5), .inconsistent),
        (report(10, 10, reasoning: 11), .inconsistent), (report(10, 10, total: 21), .inconsistent),
        (report(10, 10, audio: 1), .unpriced),
    ])
    func badReportsAreNotBelieved(report: ReportedUsage, why: UsageDistrust) {
        #expect(throws: why) { try Usage(report, within: UsageLimits(inputMax: 1000, outputMax: 1000)) }
    }

    @Test func explicitZeroIsNotAbsent() throws {
        #expect(try Usage(Self.report(0, 0), within: UsageLimits(inputMax: 1, outputMax: 1)) == .zero)
    }
}

import Metering
import Testing

/// The hold covers whatever the request permits, also where cards and requests are strange: cache writes
/// dearer than input, long rates below or above short ones, tiers that have no price, responses that name an
/// unknown tier.
@Suite struct PricingHoldTests {
    @Test func theHoldCoversEveryUsageThatTheRequestPermits() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("PricingHoldTests.hold, seed \(seed)")
        var dice = SplitMix64(state: seed)
        var refused = 0
        for round in 0..<100_000 {
            let card = RandomCard(using: &dice)
            let row = card.row
            let request = RandomRequest(on: row, using: &dice)
            let mode: RoundingMode = round % 2 == 0 ? .exact : .ceil
            guard let hold = try? row.worstCase(request.bounds, outputCap: request.cap, mode: mode) else {
                refused += 1
                continue
            }
            let charge = try row.charge(
                for: request.usage, served: request.served, permitted: request.bounds.permittedTiers,
                mode: mode)
            guard charge.amount <= hold else {
                Issue.record(
                    "seed \(seed) round \(round): hold \(hold) < charge \(charge.amount), \(request)")
                return
            }
        }
        #expect(refused < 1000, "the cards are so dear that most holds are refused: nothing was tested")
    }

    /// A report tells the sum over all turns, and that is what both compare with the threshold.
    @Test func turnsThatAreShortOneByOneAreHeldForAsALongRequest() throws {
        let long = LongContextPrice(threshold: 1000, tiers: [.default: RandomCard.tier(6_000_000_000_000)])
        let row = RandomCard.row([.default: RandomCard.tier(3_000_000_000_000)], long: long)
        var bounds = RequestBounds(inputTokensMax: 600, choices: 1, permittedTiers: [.default])
        bounds.turns = 2
        let usage = Usage(input: 1200, output: 5)
        let charge = try row.charge(for: usage, served: .default, mode: .exact)
        let short = try row.charge(for: Usage(input: 600, output: 5), served: .default, mode: .exact)
        #expect(charge.amount.value > 2 * short.amount.value, "the rates of a long one")
        #expect(try charge.amount <= row.worstCase(bounds, outputCap: 5, mode: .exact))
    }

    /// `charge` falls back to the default tier when no permitted one has a price; the hold has to know.
    @Test func aHoldForTiersWithoutAPriceIsTheDefaultTiersHold() throws {
        let row = RandomCard.row([.default: RandomCard.tier(3_000_000_000_000)], long: nil)
        let bounds = RequestBounds(inputTokensMax: 10, choices: 1, permittedTiers: [.flex])
        let charge = try row.charge(
            for: Usage(input: 10, output: 5), served: nil, permitted: [.flex], mode: .exact)
        #expect(charge.amount.value == 45)
        #expect(try row.worstCase(bounds, outputCap: 5, mode: .exact).value == 45)
    }

    @Test func theChargeGrowsWithEachPartOfTheUsage() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("PricingHoldTests.monotone, seed \(seed)")
        var dice = SplitMix64(state: seed)
        let parts: [WritableKeyPath<Usage, Int64>] = [
            \.input, \.cachedInput, \.cacheWrite, \.cacheWriteLong, \.output, \.reasoning, \.audio.input,
            \.audio.cachedInput, \.audio.output, \.image.input, \.image.cachedInput, \.image.output,
            \.inputMilliseconds, \.characters,
        ]
        for round in 0..<100_000 {
            let row = RandomCard(longIsDearer: true, using: &dice).row
            let request = RandomRequest(on: row, using: &dice)
            let mode: RoundingMode = round % 2 == 0 ? .exact : .ceil
            var more = request.usage
            more[keyPath: parts[round % parts.count]] += .random(in: 1...500_000, using: &dice)
            let permitted = request.bounds.permittedTiers
            guard
                let before = try? row.charge(
                    for: request.usage, served: request.served, permitted: permitted, mode: mode),
                let after = try? row.charge(
                    for: more, served: request.served, permitted: permitted, mode: mode)
            else { continue }
            guard before.amount <= after.amount, before.cost.value <= after.cost.value else {
                Issue.record(
                    "seed \(seed) round \(round): \(before) for \(request.usage), \(after) for \(more)")
                return
            }
        }
    }

    /// With rates of whole millicredits per token nothing is rounded, so the parts' charges add up.
    @Test func thePartsOfAChargeAddUp() throws {
        let rates = TokenRates(
            input: 2 * AttoUSD.perMillicredit, cachedInput: AttoUSD.perMillicredit,
            cacheWrite: 5 * AttoUSD.perMillicredit, output: 7 * AttoUSD.perMillicredit)
        let row = RandomCard.row([.default: TierPrice(cost: rates, price: rates)], long: nil)
        let usage = Usage(input: 11, cachedInput: 13, cacheWrite: 17, output: 19, reasoning: 23)
        let parts = [
            Usage(input: 11, output: 0), Usage(input: 0, cachedInput: 13, output: 0),
            Usage(input: 0, cacheWrite: 17, output: 0), Usage(input: 0, output: 19),
            Usage(input: 0, output: 0, reasoning: 23),
        ]
        func charge(_ usage: Usage) throws -> Charge {
            try row.charge(for: usage, served: .default, mode: .exact)
        }
        let whole = try charge(usage)
        #expect(whole.amount.value == 22 + 13 + 85 + 133 + 161)
        #expect(whole.cost.value == whole.amount.value * 1_000_000, "1 millicredit is 1,000,000 pico-USD")
        #expect(try parts.reduce(0) { try $0 + charge($1).amount.value } == whole.amount.value)
        #expect(try charge(.zero) == .zero)
    }

    @Test func theAffordableCapFitsAndTheNextOneDoesNot() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("PricingHoldTests.affordable, seed \(seed)")
        var dice = SplitMix64(state: seed)
        var found = 0
        for round in 0..<20_000 {
            let row = RandomCard(using: &dice).row
            let request = RandomRequest(on: row, using: &dice)
            let mode: RoundingMode = round % 2 == 0 ? .exact : .ceil
            let money = Millicredits(.random(in: 0...50_000_000, using: &dice))
            func fits(_ cap: Int64) -> Bool {
                (try? row.worstCase(request.bounds, outputCap: cap, mode: mode)).map { $0 <= money } ?? false
            }
            switch row.affordableOutputCap(request.bounds, within: money, mode: mode) {
            case nil:
                guard !fits(0) else { Issue.record("seed \(seed) round \(round): 0 tokens fit"); return }
            case let cap?:
                found += 1
                guard fits(cap), cap == row.outputMax || !fits(cap + 1) else {
                    Issue.record("seed \(seed) round \(round): \(cap) is not the largest cap within \(money)")
                    return
                }
            }
        }
        #expect(found > 1000)
    }

    @Test func whatIsTooLargeIsRefused() throws {
        let row = RandomCard.row(
            [.default: RandomCard.tier(1_000_000_000_000_000_000)], long: nil, outputMax: .max)
        let bounds = RequestBounds(inputTokensMax: .max, choices: .max, permittedTiers: [.default])
        #expect(throws: PricingFailure.amountTooLarge) {
            try row.worstCase(bounds, outputCap: 2, mode: .exact)
        }
        #expect(row.affordableOutputCap(bounds, within: Millicredits(1), mode: .exact) == nil)
        #expect(throws: PricingFailure.amountTooLarge) {
            try row.charge(
                for: Usage(input: 9_000_000_000_000_000_000, output: 0), served: .default, mode: .ceil)
        }
        let limit = AttoUSD(Int128(Millicredits.chargeMax.value) * AttoUSD.perMillicredit)
        #expect(try Millicredits(rounding: limit, mode: .exact) == .chargeMax)
        #expect(throws: PricingFailure.amountTooLarge) {
            try Millicredits(roundingUp: AttoUSD(limit.value + 1), mode: .exact)
        }
    }
}

/// A row with one to four tiers, perhaps with long-context rates; any part may be the dearest.
private struct RandomCard {
    let row: ModelPrice

    init(longIsDearer: Bool = false, using dice: inout SplitMix64) {
        var tiers = [ServiceTier.default: Self.tier(using: &dice)]
        for tier in [ServiceTier.flex, .priority, .batch] where Bool.random(using: &dice) {
            tiers[tier] = Self.tier(using: &dice)
        }
        var long: LongContextPrice?
        if Bool.random(using: &dice) {
            var longTiers = [ServiceTier.default: Self.tier(using: &dice)]
            for tier in [ServiceTier.flex, .priority, .batch] where Bool.random(using: &dice) {
                longTiers[tier] = Self.tier(using: &dice)
            }
            if longIsDearer {
                let dearest = tiers.values.reduce(Self.tier(0)) { Self.dearer($0, $1) }
                longTiers = longTiers.mapValues { Self.dearer($0, dearest) }
            }
            long = LongContextPrice(threshold: .random(in: 0...300_000, using: &dice), tiers: longTiers)
        }
        self.row = Self.row(tiers, long: long)
    }

    static func row(
        _ tiers: [ServiceTier: TierPrice], long: LongContextPrice?, outputMax: Int64 = 128_000
    ) -> ModelPrice {
        ModelPrice(
            priceID: "random@1/m", model: "m", endpoints: [.chat], context: 400_000, outputMax: outputMax,
            tiers: tiers, longContext: long, units: Self.units, onDisconnect: nil)
    }

    private static let units: UnitPrice = {
        let rates = UnitRates(
            millisecond: 100_000_000_001, character: 15_000_000_000_003,
            tools: [.webSearch: 10_000_000_000_000_000, .fileSearch: 2_500_000_000_000_001])
        return UnitPrice(cost: rates, price: rates)
    }()

    /// One rate for every part.
    static func tier(_ rate: Int128) -> TierPrice {
        let rates = TokenRates(input: rate, cachedInput: rate, cacheWrite: rate, output: rate)
        return TierPrice(cost: rates, price: rates)
    }

    private static func tier(using dice: inout SplitMix64) -> TierPrice {
        func rate() -> Int128 {
            switch Int.random(in: 0..<4, using: &dice) {
            case 0: 0
            case 1: Int128(Int64.random(in: 1...1_000_000, using: &dice)) * 1_000_000
            // Odd digits down to the atto-USD, so that every remainder of the rounding occurs.
            default: Int128(Int64.random(in: 1...100_000_000_000_000, using: &dice))
            }
        }
        func media() -> MediaRates { MediaRates(input: rate(), cachedInput: rate(), output: rate()) }
        let price = TokenRates(
            input: rate(), cachedInput: rate(), cacheWrite: rate(), cacheWriteLong: rate(), output: rate(),
            audio: media(), image: Bool.random(using: &dice) ? media() : nil)
        return TierPrice(cost: price, price: price)
    }

    private static func dearer(_ left: TierPrice, _ right: TierPrice) -> TierPrice {
        let rates = TokenRates(
            input: max(left.price.input, right.price.input),
            cachedInput: max(left.price.cachedInput, right.price.cachedInput),
            cacheWrite: max(left.price.cacheWrite, right.price.cacheWrite),
            cacheWriteLong: max(left.price.cacheWriteLong ?? 0, right.price.cacheWriteLong ?? 0),
            output: max(left.price.output, right.price.output),
            audio: Self.dearer(left.price.audio, right.price.audio, text: left.price, right.price),
            image: Self.dearer(left.price.image, right.price.image, text: left.price, right.price))
        return TierPrice(cost: rates, price: rates)
    }
}

extension RandomCard {
    fileprivate static func dearer(
        _ left: MediaRates?, _ right: MediaRates?, text one: TokenRates, _ other: TokenRates
    ) -> MediaRates {
        let left = left ?? MediaRates(input: one.input, cachedInput: one.cachedInput, output: one.output)
        let right =
            right ?? MediaRates(input: other.input, cachedInput: other.cachedInput, output: other.output)
        return MediaRates(
            input: max(left.input, right.input), cachedInput: max(left.cachedInput, right.cachedInput),
            output: max(left.output, right.output))
    }
}

/// A request, and one usage that it permits.
private struct RandomRequest {
    let bounds: RequestBounds
    let cap: Int64
    let usage: Usage
    /// nil: the response named a tier that has no name here.
    let served: ServiceTier?

    init(on row: ModelPrice, using dice: inout SplitMix64) {
        var permitted = ServiceTier.allCases.filter { _ in Bool.random(using: &dice) }
        if permitted.isEmpty { permitted = [.default] }
        var bounds = RequestBounds(
            inputTokensMax: .random(in: 0...500_000, using: &dice), choices: .random(in: 1...4, using: &dice),
            permittedTiers: permitted)
        bounds.media =
            Bool.random(using: &dice) ? [] : RequestMedia(rawValue: .random(in: 0..<32, using: &dice))
        if Int.random(in: 0..<4, using: &dice) == 0 {
            bounds.turns = .random(in: 1...5, using: &dice)
            for kind in ToolKind.allCases { bounds.tools[kind] = .random(in: 0...9, using: &dice) }
            bounds.inputMillisecondsMax = .random(in: 0...100_000, using: &dice)
            bounds.charactersMax = .random(in: 0...4_096, using: &dice)
            bounds.inputs = .random(in: 1...4, using: &dice)
            bounds.extraOutputTokens = .random(in: 0...5_000, using: &dice)
        }
        self.bounds = bounds
        self.cap = .random(in: 0...200_000, using: &dice)
        let output = Self.upTo(
            bounds.choices * min(self.cap, row.outputMax * bounds.turns) + bounds.extraOutputTokens,
            using: &dice)
        self.usage = Self.usage(bounds, input: row.inputMax(bounds) ?? 0, output: output, using: &dice)
        self.served = Bool.random(using: &dice) ? permitted.randomElement(using: &dice) : nil
    }

    /// The ends of the ranges are where a bound breaks: take them often.
    private static func upTo(_ limit: Int64, using dice: inout SplitMix64) -> Int64 {
        Bool.random(using: &dice) ? limit : .random(in: 0...limit, using: &dice)
    }

    private static func usage(
        _ bounds: RequestBounds, input: Int64, output: Int64, using dice: inout SplitMix64
    ) -> Usage {
        var usage = Usage(input: Self.upTo(input, using: &dice), output: output)
        func move(_ part: WritableKeyPath<Usage, Int64>, from whole: WritableKeyPath<Usage, Int64>) {
            guard Bool.random(using: &dice) else { return }
            let some = Self.upTo(usage[keyPath: whole], using: &dice)
            usage[keyPath: part] += some
            usage[keyPath: whole] -= some
        }
        if bounds.media.contains(.audioInput) {
            move(\.audio.input, from: \.input)
            move(\.audio.cachedInput, from: \.audio.input)
        }
        if bounds.media.contains(.imageInput) {
            move(\.image.input, from: \.input)
            move(\.image.cachedInput, from: \.image.input)
        }
        if bounds.media.contains(.longWrites) { move(\.cacheWriteLong, from: \.input) }
        move(\.cachedInput, from: \.input)
        move(\.cacheWrite, from: \.input)
        if bounds.media.contains(.audioOutput) { move(\.audio.output, from: \.output) }
        if bounds.media.contains(.imageOutput) { move(\.image.output, from: \.output) }
        move(\.reasoning, from: \.output)
        for kind in ToolKind.allCases { usage.tools[kind] = Self.upTo(bounds.tools[kind], using: &dice) }
        usage.inputMilliseconds = Self.upTo(bounds.inputMillisecondsMax, using: &dice)
        usage.characters = Self.upTo(bounds.charactersMax, using: &dice)
        return usage
    }
}

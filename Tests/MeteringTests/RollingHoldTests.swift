import Metering
import Testing

/// A hold that grows with its stream: the stream never uses more than was granted, ends only when the money has, and
/// asks seldom.
@Suite struct RollingHoldTests {
    /// 1 millicredit per input token, 2 per output token.
    static let price: ModelPrice = {
        let unit = AttoUSD.perMillicredit
        let rates = TokenRates(input: unit, cachedInput: unit, cacheWrite: unit, output: 2 * unit)
        return ModelPrice(
            priceID: "t@1/m", model: "m", endpoints: [.chat], context: 1000, outputMax: 2000,
            tiers: [.default: TierPrice(cost: rates, price: rates)], longContext: nil, onDisconnect: nil)
    }()

    static func terms(step: Int64 = 100, choices: Int64 = 1, outputMax: Int64 = 2000) -> RollingHold.Terms {
        RollingHold.Terms(
            price: self.price,
            bounds: RequestBounds(inputTokensMax: 10, choices: choices, permittedTiers: [.default]),
            mode: .exact, step: step, outputMax: outputMax)
    }

    static func hold(
        _ granted: Int64, of wanted: Int64, _ terms: RollingHold.Terms = Self.terms()
    ) -> RollingHold {
        RollingHold(terms, granted: Millicredits(granted), wanted: Millicredits(wanted))
    }

    @Test func moreIsAskedForWhenHalfAStepIsLeft() {
        var hold = Self.hold(210, of: 210)
        #expect(hold.allowance == 100)
        #expect(hold.passed(49) == nil)
        #expect(hold.passed(50) == Millicredits(410))
        #expect(hold.isAsking && hold.passed(60) == nil, "one EXTEND at a time")
        #expect(hold.answered(.granted(total: Millicredits(410))) == nil)
        #expect(hold.allowance == 200 && hold.granted == Millicredits(410))
        #expect(hold.passed(149) == nil && hold.passed(150) == Millicredits(610))
    }

    @Test func whatCoversTheCapIsNeverRaised() {
        var hold = Self.hold(110, of: 110, Self.terms(outputMax: 50))
        #expect(hold.coversAll && hold.passed(50) == nil && hold.passed(51) == nil)
    }

    @Test func theLastStepEndsAtTheCap() {
        var hold = Self.hold(210, of: 210, Self.terms(outputMax: 130))
        #expect(hold.passed(99) == Millicredits(270))
    }

    @Test func theRestIsTakenAndThenTheMoneyHasEnded() {
        var hold = Self.hold(210, of: 210)
        #expect(hold.passed(60) == Millicredits(410))
        #expect(hold.answered(.short(available: Millicredits(51))) == Millicredits(261))
        #expect(hold.answered(.granted(total: Millicredits(261))) == nil)
        #expect(hold.allowance == 125, "one millicredit is less than a token")
        #expect(hold.passed(124) == nil, "nobody is asked again for what is not there")
        #expect(hold.passed(125) == Millicredits(460))
        #expect(hold.answered(.short(available: .zero)) == nil)
        #expect(hold.refusal == .short(available: .zero) && hold.passed(125) == nil)
    }

    /// The hold set 10 tokens aside for an input that has 4: the last credits pay for output.
    @Test func whatTheInputDoesNotNeedPaysForOutput() {
        var terms = Self.terms()
        terms.knownInput = 4
        var hold = Self.hold(210, of: 210, terms)
        #expect(hold.allowance == 100 && hold.passed(50) == Millicredits(410))
        #expect(hold.answered(.short(available: .zero)) == nil)
        #expect(hold.allowance == 103 && hold.refusal == nil && hold.passed(102) == nil)
        #expect(hold.passed(103) != nil)
        #expect(hold.answered(.short(available: .zero)) == nil && hold.refusal == .short(available: .zero))
        #expect(Self.hold(110, of: 210, terms).allowance == 53, "granted less than was wanted")
    }

    /// A frame of two tokens does not fit into an allowance of one more: somebody has to ask, and to give up.
    @Test func whatDoesNotFitAnyMoreIsAskedFor() {
        var hold = Self.hold(42, of: 210)
        #expect(hold.allowance == 16 && hold.passed(15) == nil)
        #expect(hold.passed(15, isExhausted: true) == Millicredits(242))
        #expect(hold.answered(.short(available: Millicredits(1))) == Millicredits(43))
        #expect(hold.answered(.granted(total: Millicredits(43))) == nil && hold.allowance == 16)
        #expect(hold.passed(15, isExhausted: true) == Millicredits(242))
        #expect(hold.answered(.short(available: .zero)) == nil && hold.refusal == .short(available: .zero))
    }

    @Test func creditsThatCameMeanwhileAreUsed() {
        var hold = Self.hold(42, of: 210)
        #expect(hold.allowance == 16 && hold.passed(15) == nil, "the grant was all that there was")
        #expect(hold.passed(16) == Millicredits(242))
        _ = hold.answered(.granted(total: Millicredits(242)))
        #expect(hold.allowance == 116 && hold.refusal == nil)
    }

    @Test func anAnswerThatIsNotKnownIsAskedForAgainThreeTimes() {
        var hold = Self.hold(210, of: 210)
        for _ in 0..<2 {
            #expect(hold.passed(80) == Millicredits(410))
            #expect(hold.answered(.unknown) == nil && hold.refusal == nil)
        }
        _ = hold.passed(80)
        _ = hold.answered(.unknown)
        #expect(hold.refusal == .unavailable && hold.passed(100) == nil)
    }

    @Test func whatIsFinalIsFinal() {
        let answers: [(ExtendAnswer, RollingHold.Refusal)] = [
            (.blocked, .blocked), (.takenOver, .takenOver),
            (
                .capReached(.day, limit: Millicredits(7), resetsAtMilliseconds: 9),
                .capReached(.day, limit: Millicredits(7), resetsAtMilliseconds: 9)
            ),
        ]
        for (answer, refusal) in answers {
            var hold = Self.hold(210, of: 210)
            _ = hold.passed(80)
            #expect(hold.answered(answer) == nil && hold.refusal == refusal && hold.passed(100) == nil)
        }
    }

    /// Many streams share a balance, with purchases in between: none uses more than it was granted, no more is granted
    /// than there is, and whoever ends early has left less than a token.
    @Test func whatPassesWasSetAside() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("RollingHoldTests.shared, seed \(seed)")
        var dice = SplitMix64(state: seed)
        for round in 0..<400 {
            var available = Int64.random(in: 500...20_000, using: &dice)
            var streams: [(hold: RollingHold, output: Int64, asks: Int)] = []
            let terms = Self.terms(
                step: .random(in: 1...300, using: &dice), choices: .random(in: 1...3, using: &dice))
            for _ in 0..<Int.random(in: 1...8, using: &dice) {
                let want = try Self.price.worstCase(terms.bounds, outputCap: terms.step, mode: .exact).value
                guard want <= available else { continue }
                available -= want
                streams.append((Self.hold(want, of: want, terms), 0, 0))
            }
            while let index = streams.indices.filter({ streams[$0].hold.refusal == nil }).randomElement(
                using: &dice)
            {
                var (hold, output, asks) = streams[index]
                guard output < terms.outputMax * terms.bounds.choices else {
                    streams.remove(at: index)
                    continue
                }
                if output < hold.allowance { output += 1 }
                var asked = hold.passed(output)
                while let total = asked {
                    asks += 1
                    let more = total.value - hold.granted.value
                    if dice.next() % 20 == 0 {
                        asked = hold.answered(.unknown)
                    } else if more <= available {
                        available -= more
                        asked = hold.answered(.granted(total: total))
                    } else {
                        asked = hold.answered(.short(available: Millicredits(available)))
                    }
                }
                let used = try Self.price.charge(
                    for: Usage(input: 10, output: output), served: .default, mode: .exact
                ).amount
                guard used <= hold.granted, available >= 0 else {
                    Issue.record("seed \(seed) round \(round): \(used) used of \(hold.granted)")
                    return
                }
                streams[index] = (hold, output, asks)
                if dice.next() % 500 == 0 { available += 40 }
            }
            for stream in streams {
                let left = stream.hold.allowance - stream.output
                let isShort = stream.hold.refusal != .unavailable
                if isShort, left <= 0, stream.asks > 12 + Int(stream.output / max(1, terms.step)) * 8 {
                    Issue.record(
                        "seed \(seed) round \(round): \(stream.asks) calls for \(stream.output) tokens")
                }
            }
        }
    }
}

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

    /// While the granted part lasts nothing is lost by asking again, less and less often.
    @Test func anAnswerThatIsNotKnownIsNoEnd() {
        var hold = Self.hold(210, of: 210)
        var asked: [Int64] = []
        for output in 0..<Int64(100) where hold.passed(output) != nil {
            asked.append(output)
            #expect(hold.answered(.unknown) == nil && hold.refusal == nil)
        }
        #expect(asked == [50, 75, 88, 94, 97, 99])
        #expect(hold.passed(100) != nil, "the hold store is back")
        #expect(hold.answered(.granted(total: Millicredits(410))) == nil && hold.allowance == 200)
        #expect(hold.refusal == nil && hold.passed(150) != nil)
    }

    /// A stream that stands still is not kept waiting for ever.
    @Test func whoStandsStillIsToldAfterThreeTimes() {
        var hold = Self.hold(210, of: 210)
        for time in 1...3 {
            #expect(hold.refusal == nil)
            #expect(hold.passed(99, isExhausted: true) == Millicredits(410), "\(time)")
            #expect(hold.answered(.unknown) == nil)
        }
        #expect(hold.refusal == .unavailable && hold.passed(99, isExhausted: true) == nil)
    }

    /// An upstream that sends much at once needs more than a step at a time.
    @Test func whatIsNeededIsAskedForAtOnce() {
        var hold = Self.hold(210, of: 210)
        #expect(hold.passed(90, isExhausted: true, needed: 700) == Millicredits(10 + 2 * 800))
        _ = hold.answered(.granted(total: Millicredits(1610)))
        #expect(hold.allowance == 800)
        #expect(hold.passed(700, isExhausted: true, needed: .max) == Millicredits(10 + 2 * 2000))
    }

    /// A cap that has room for a part of a step only is used up to it.
    @Test func theRoomUnderACapOfARequestIsUsed() {
        var hold = Self.hold(210, of: 210)
        #expect(hold.passed(60) == Millicredits(410))
        let capped = ExtendAnswer.capReached(.request, limit: Millicredits(250), resetsAtMilliseconds: 0)
        #expect(hold.answered(capped) == Millicredits(250))
        #expect(hold.answered(.granted(total: Millicredits(250))) == nil && hold.allowance == 120)
        #expect(hold.passed(119) == nil && hold.refusal == nil)
        #expect(hold.passed(120) == Millicredits(450))
        #expect(hold.answered(capped) == nil)
        #expect(
            hold.refusal == .capReached(.request, limit: Millicredits(250), resetsAtMilliseconds: 0))
    }

    /// Of the other caps nobody knows what is left: halves are tried, until a half is no token.
    @Test func theRoomUnderASharedCapIsFound() {
        let capped = ExtendAnswer.capReached(.day, limit: Millicredits(9000), resetsAtMilliseconds: 7)
        for room in [Int64(0), 1, 2, 7, 100, 199] {
            var hold = Self.hold(210, of: 210)
            var (output, asks) = (Int64(0), 0)
            while hold.refusal == nil {
                var asked = hold.passed(output)
                while let total = asked {
                    asks += 1
                    let fits = total.value <= 210 + room
                    asked = hold.answered(fits ? .granted(total: total) : capped)
                }
                if output < hold.allowance { output += 1 }
            }
            #expect(hold.refusal == .capReached(.day, limit: Millicredits(9000), resetsAtMilliseconds: 7))
            #expect(output == 100 + room / 2 && hold.granted.value <= 210 + room, "room \(room)")
            #expect(asks < 50, "\(asks) for \(room)")
        }
    }

    @Test func whatIsFinalIsFinal() {
        let answers: [(ExtendAnswer, RollingHold.Refusal)] = [(.blocked, .blocked), (.takenOver, .takenOver)]
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

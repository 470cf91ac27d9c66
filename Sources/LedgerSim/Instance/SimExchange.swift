import Metering
import MoneyPath

/// One exchange: the real hold machine, and a script of what its client and OpenAI do.
final class SimExchange {
    let hold: HoldID
    let account: AccountID
    let session: Int
    let input: Int64
    let want: Millicredits
    let least: Millicredits
    let script: SimUpstream
    /// As the flags said when it was admitted.
    let isWaived: Bool
    var machine = HoldMachine()
    var evidence = ExchangeEvidence()
    var grant: Millicredits = .zero
    var isOpened = false
    var hasReservation = true
    var outputTold: Int64 = 0
    /// What goes on when EXTEND is answered, and what was asked for.
    var extending: (total: Millicredits, then: () -> Void)?
    let startedAtMilliseconds: Int64

    init(
        hold: HoldID, account: AccountID, session: Int, input: Int64, want: Int64, least: Int64,
        script: SimUpstream, isWaived: Bool, startedAtMilliseconds: Int64
    ) {
        self.hold = hold
        self.account = account
        self.session = session
        self.input = input
        self.want = Millicredits(want)
        self.least = Millicredits(least)
        self.script = script
        self.isWaived = isWaived
        self.startedAtMilliseconds = startedAtMilliseconds
    }

    /// What is posted of a charge.
    func posted(_ charge: Charge) -> Charge {
        self.isWaived ? Charge(amount: .zero, cost: charge.cost) : charge
    }
}

extension HoldMachine {
    var isHeld: Bool { if case .held = self.state { true } else { false } }
}

/// What OpenAI and the client will do.
struct SimUpstream {
    enum End {
        case reported, usageMissing, usageMalformed, cut, errorComplete, errorPartial, refused, timeout
    }

    var end: End
    /// Output tokens that pass, in so many pieces.
    var output: Int64
    var pieces: Int
    var pieceEvery: Span
    /// What usage says of the output; above what passed when it thinks in hidden tokens.
    var reported: Int64
    /// The client goes away after so many pieces; nil: it stays.
    var clientLeavesAfter: Int?
    var clientLeavesWhilePlacing: Bool
    var drains: Bool
    /// Its hold grows while it runs, instead of covering everything from the beginning.
    var rolls = false

    var piece: Int64 { self.output / Int64(self.pieces) }
    /// Of all output, with what is thought in hidden tokens; an absurd report is not foreseen.
    var outputMax: Int64 { max(self.output, self.reported < 400 ? self.reported : 0) }

    /// One token, at once.
    static let probe = SimUpstream(output: 1, pieces: 1, pieceEvery: .zero, reported: 1)

    private init(output: Int64, pieces: Int, pieceEvery: Span, reported: Int64) {
        (self.end, self.output, self.pieces) = (.reported, output, pieces)
        (self.pieceEvery, self.reported) = (pieceEvery, reported)
        (self.clientLeavesAfter, self.clientLeavesWhilePlacing, self.drains) = (nil, false, false)
    }

    init(_ random: inout SimRandom, faulty: Bool, longOneIn: Int) {
        self.pieces = 1 + random.below(6)
        self.output = Int64(self.pieces) * random.between(1, 20)
        self.pieceEvery =
            random.oneIn(longOneIn)
            ? .milliseconds(random.between(800, 4_000)) : .milliseconds(random.between(5, 300))
        self.reported = self.output + (random.oneIn(3) ? random.between(0, 30) : 0)
        self.drains = random.oneIn(3)
        self.rolls = random.oneIn(3)
        self.clientLeavesAfter = nil
        self.clientLeavesWhilePlacing = false
        self.end = .reported
        guard faulty else { return }
        self.end =
            [
                .reported, .reported, .reported, .reported, .reported, .reported, .reported, .usageMissing,
                .usageMalformed, .cut, .errorComplete, .errorPartial, .refused, .timeout,
            ][random.below(14)]
        if random.oneIn(40) { self.reported += 500 }
        if random.oneIn(8) { self.clientLeavesAfter = random.below(self.pieces + 1) }
        self.clientLeavesWhilePlacing = random.oneIn(25)
    }
}

/// One millicredit per token.
enum SimPrice {
    static let model: ModelPrice = {
        let unit = AttoUSD.perMillicredit
        let rates = TokenRates(input: unit, cachedInput: unit, cacheWrite: unit, output: unit)
        return ModelPrice(
            priceID: "sim@1/gpt-sim", model: "gpt-sim", endpoints: [.chat], context: 1_000_000,
            outputMax: 100_000, tiers: [.default: TierPrice(cost: rates, price: rates)], longContext: nil,
            onDisconnect: nil)
    }()

    static func charge(_ usage: Usage, _ reason: EstimateReason?, hold: Millicredits) -> Charge {
        self.model.settledCharge(
            for: usage, estimatedBecause: reason, served: .default, permitted: [.default], hold: hold,
            mode: .exact
        ).charge
    }
}

import Metering
import Testing

/// Every exit path of an exchange must end in exactly one outcome, whatever the order of events.
@Suite struct HoldMachineTests {
    static let usage = Usage(input: 10, output: 5)
    static let searches: ToolCalls = {
        var calls = ToolCalls()
        calls[.webSearch] = 2
        return calls
    }()
    static let searched: ExchangeEvidence = {
        var evidence = ExchangeEvidence(
            written: .fully, response: .success(complete: true), streamError: true)
        evidence.sawToolCalls = true
        evidence.tools = searches
        return evidence
    }()
    static let chargedForSearches: Usage = {
        var usage = Usage(input: 7, output: 0)
        usage.tools = searches
        return usage
    }()

    @Test func aGrantIsFollowedByExactlyOneOutcome() {
        var machine = HoldMachine()
        #expect(machine.placed(Millicredits(100)) == .proceed)
        let evidence = ExchangeEvidence(
            written: .fully, response: .success(complete: true), usage: .reported(Self.usage))
        #expect(
            machine.end(.upstreamEnded, evidence, inputEstimate: 1)
                == .capture(Self.usage, hold: Millicredits(100), estimatedBecause: nil))
        #expect(machine.end(.clientGone, evidence, inputEstimate: 1) == .ignoreDuplicate)
        #expect(machine.clientGone() == .nothing)
        #expect(machine.isSettled)
    }

    /// A client that leaves while its hold is being placed must not leak the hold.
    /// EXTEND: the end is against what is set aside then, and an answer that comes late changes nothing.
    @Test func aHoldOnlyGrowsAndOnlyWhileItIsOpen() {
        var machine = HoldMachine()
        machine.extended(to: Millicredits(5))
        #expect(machine.state == .placing)
        _ = machine.placed(Millicredits(10))
        machine.extended(to: Millicredits(30))
        machine.extended(to: Millicredits(20))
        #expect(machine.state == .held(Millicredits(30)))
        #expect(
            machine.end(.upstreamCut, ExchangeEvidence(), inputEstimate: 1) == .void(hold: Millicredits(30)))
        machine.extended(to: Millicredits(40))
        #expect(machine.state == .void)
    }

    @Test func aGrantThatNobodyWaitsForIsGivenBack() {
        var machine = HoldMachine()
        #expect(machine.clientGone() == .waitForGrant)
        #expect(machine.placed(Millicredits(100)) == .giveBack)
        #expect(machine.end(.clientGone, ExchangeEvidence(), inputEstimate: 1) == .ignoreDuplicate)
        #expect(machine.state == .refused)
    }

    struct OutcomeCase: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var cause: EndCause
        var evidence: ExchangeEvidence
        var expected: Outcome
    }

    /// DESIGN §4: what is free, what is charged as reported, what is estimated and why.
    @Test(arguments: [
        OutcomeCase(
            testDescription: "never sent", cause: .upstreamCut, evidence: .init(written: .nothing),
            expected: .void),
        OutcomeCase(
            testDescription: "half sent, then cut", cause: .upstreamCut, evidence: .init(written: .partly),
            expected: .void),
        OutcomeCase(
            testDescription: "sent, no answer", cause: .upstreamCut, evidence: .init(written: .fully),
            expected: .final(Usage(input: 7, output: 0), estimatedBecause: .upstreamCut)),
        OutcomeCase(
            testDescription: "complete error", cause: .upstreamEnded,
            evidence: .init(written: .fully, response: .error(complete: true)), expected: .void),
        OutcomeCase(
            testDescription: "incomplete error", cause: .upstreamCut,
            evidence: .init(written: .fully, response: .error(complete: false)),
            expected: .final(Usage(input: 7, output: 0), estimatedBecause: .upstreamCut)),
        OutcomeCase(
            testDescription: "error frame before output", cause: .upstreamEnded,
            evidence: .init(written: .fully, response: .success(complete: true), streamError: true),
            expected: .void),
        OutcomeCase(
            testDescription: "error frame after a search", cause: .upstreamEnded,
            evidence: HoldMachineTests.searched,
            expected: .final(HoldMachineTests.chargedForSearches, estimatedBecause: .usageMissing)),
        OutcomeCase(
            testDescription: "error frame after output", cause: .upstreamEnded,
            evidence: .init(
                written: .fully, response: .success(complete: true), visibleOutput: 3, streamError: true),
            expected: .final(Usage(input: 7, output: 3), estimatedBecause: .usageMissing)),
        OutcomeCase(
            testDescription: "hang-up in mid-stream is not free", cause: .clientGone,
            evidence: .init(written: .fully, response: .success(complete: false), visibleOutput: 4),
            expected: .final(Usage(input: 7, output: 4), estimatedBecause: .clientGone)),
        OutcomeCase(
            testDescription: "hang-up after the usage came", cause: .clientGone,
            evidence: .init(
                written: .fully, response: .success(complete: false),
                usage: .reported(HoldMachineTests.usage),
                visibleOutput: 4),
            expected: .final(HoldMachineTests.usage, estimatedBecause: nil)),
        OutcomeCase(
            testDescription: "a usage of more than the hold paid for", cause: .creditsEnded,
            evidence: {
                var evidence = ExchangeEvidence(
                    written: .fully, response: .success(complete: false),
                    usage: .reported(HoldMachineTests.usage), visibleOutput: 4)
                evidence.stoodStill = true
                return evidence
            }(),
            expected: .final(HoldMachineTests.usage, estimatedBecause: .creditsEnded)),
        OutcomeCase(
            testDescription: "explicit zero is not a missing usage", cause: .upstreamEnded,
            evidence: .init(
                written: .fully, response: .success(complete: true), usage: .reported(.zero), visibleOutput: 4
            ),
            expected: .final(.zero, estimatedBecause: nil)),
        OutcomeCase(
            testDescription: "distrusted usage", cause: .upstreamEnded,
            evidence: .init(
                written: .fully, response: .success(complete: true), usage: .distrusted(.impossible),
                visibleOutput: 4),
            expected: .final(Usage(input: 7, output: 4), estimatedBecause: .usageImpossible)),
        OutcomeCase(
            testDescription: "stall", cause: .upstreamTimeout,
            evidence: .init(written: .fully, response: .success(complete: false), visibleOutput: 2),
            expected: .final(Usage(input: 7, output: 2), estimatedBecause: .upstreamTimeout)),
    ])
    func outcomeFollowsFromEvidence(_ one: OutcomeCase) {
        #expect(Outcome(one.cause, one.evidence, inputEstimate: 7) == one.expected)
    }

    /// 100,000 random event sequences: one outcome at most, a grant never stays without an end, and
    /// available + held + captured stays what was credited.
    @Test func randomEventSequencesKeepTheInvariants() {
        let seed = UInt64.random(in: .min ... .max)
        print("HoldMachine random sequences, seed \(seed)")
        var dice = SplitMix64(state: seed)
        for sequence in 0..<100_000 {
            var account = AccountModel(credited: 1000)
            var machines = [HoldMachine(), HoldMachine(), HoldMachine()]
            var outcomes = [0, 0, 0]
            for _ in 0..<Int.random(in: 1...16, using: &dice) {
                let index = Int.random(in: 0..<3, using: &dice)
                let ended = account.step(&machines[index], id: index, using: &dice)
                outcomes[index] += ended
                guard account.balances, outcomes[index] <= 1 else {
                    Issue.record("seed \(seed) sequence \(sequence): \(account), outcomes \(outcomes)")
                    return
                }
            }
            for index in 0..<3 {
                outcomes[index] += account.finish(&machines[index], id: index, using: &dice)
            }
            let oneEach = zip(machines, outcomes).allSatisfy { $1 == ($0.isSettled ? 1 : 0) }
            guard account.held.isEmpty, account.balances, account.agrees, oneEach else {
                Issue.record("seed \(seed) sequence \(sequence): \(account), outcomes \(outcomes)")
                return
            }
        }
    }
}

/// An account as the hold store keeps it, moved only by what the machine's actions say: each action moves its own
/// amount from one pot to another, so an action that names a wrong one makes or loses money.
private struct AccountModel {
    let credited: Int64
    var available: Int64
    var held: [Int: Int64] = [:]
    var captured: Int64 = 0
    var overHold: Int64 = 0
    /// The machine and the model named the same holds and amounts at every event.
    var agrees = true

    init(credited: Int64) {
        self.credited = credited
        self.available = credited
    }

    var balances: Bool {
        self.available + self.held.values.reduce(0, +) + self.captured == self.credited
            && self.available >= -self.overHold
    }

    /// One random event; returns how many outcomes it recorded.
    mutating func step(_ machine: inout HoldMachine, id: Int, using dice: inout SplitMix64) -> Int {
        switch Int.random(in: 0..<4, using: &dice) {
        case 0: self.answerPlace(&machine, id: id, using: &dice)
        case 1:
            if machine.clientGone() == .end { return self.end(&machine, id: id, .clientGone, using: &dice) }
        case 2: return self.end(&machine, id: id, .upstreamEnded, using: &dice)
        default: return self.end(&machine, id: id, .upstreamCut, using: &dice)
        }
        return 0
    }

    /// Whatever is open gets its answer, then its end.
    mutating func finish(_ machine: inout HoldMachine, id: Int, using dice: inout SplitMix64) -> Int {
        if machine.state == .placing || machine.state == .abandoned { _ = machine.refused() }
        return self.end(&machine, id: id, .upstreamTimeout, using: &dice)
    }

    private mutating func answerPlace(_ machine: inout HoldMachine, id: Int, using dice: inout SplitMix64) {
        let open = machine.state == .placing || machine.state == .abandoned
        let want = Int64.random(in: 1...600, using: &dice)
        guard open, want <= self.available else {
            if open {
                _ = machine.refused()
            } else {
                self.agrees = self.agrees && machine.placed(Millicredits(want)) == .ignore
            }
            return
        }
        self.available -= want
        self.held[id] = want
        if machine.placed(Millicredits(want)) == .giveBack {
            self.held[id] = nil
            self.available += want
        }
    }

    private mutating func end(
        _ machine: inout HoldMachine, id: Int, _ cause: EndCause, using dice: inout SplitMix64
    ) -> Int {
        let evidence = ExchangeEvidence(
            written: [.nothing, .partly, .fully].randomElement(using: &dice) ?? .fully,
            response: [.none, .error(complete: true), .success(complete: true)].randomElement(using: &dice)
                ?? .none,
            usage: Bool.random(using: &dice)
                ? .reported(Usage(input: .random(in: 0...400, using: &dice), output: 1)) : .absent,
            visibleOutput: .random(in: 0...3, using: &dice))
        switch machine.end(cause, evidence, inputEstimate: 5) {
        case .ignoreDuplicate:
            return 0
        case .void(let hold):
            self.agrees = self.agrees && self.held[id] == hold.value
            self.held[id] = nil
            self.available += hold.value
        case .capture(let usage, let hold, let reason):
            self.agrees = self.agrees && self.held[id] == hold.value
            let charge = reason == nil ? usage.inputTotal : min(usage.inputTotal, hold.value)
            self.overHold += max(0, charge - hold.value)
            self.held[id] = nil
            self.available += hold.value - charge
            self.captured += charge
        }
        return 1
    }
}

/// Steele, Lea, Flood: a generator whose whole state is its seed, so that a failure can be replayed.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

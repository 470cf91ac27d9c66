import Metering
import Testing

@testable import MoneyPath

/// What a session makes of PLACE's words about limits.
@Suite struct HoldSessionLimitTests {
    typealias Machine = HoldSessionMachine
    private let hold = HoldID(high: 9, low: 1)
    private let start = Moment(nanoseconds: 1_000_000_000_000)
    private let limits = PlaceLimits(
        keyID: 3, key: RequestLimits(requestsPerMinute: 10, tokensPerMinute: 100, streams: 4),
        account: RequestLimits(requestsPerMinute: 20, streams: 5), tokens: 30)

    private func answer(_ reply: HoldNumbers, limits: PlaceLimits? = nil) -> PlaceAnswer? {
        let node = NodeIdentity(runID: "r", replicationID: "m", epochKey: "k")
        var machine = Machine(boot: BootID(high: 1, low: 1), loop: 0)
        machine.connected(to: node, now: self.start)
        machine.open(node.nodeEpoch)
        let request = PlaceRequest(
            account: 7, hold: self.hold, want: Millicredits(10), least: Millicredits(10),
            inputEstimate: Millicredits(1), priceID: "c@1/m", endpoint: .chat, limits: limits ?? self.limits)
        let refused = machine.place(request, now: self.start)
        #expect(refused == nil)
        machine.replied(.place(self.hold), .numbers(reply), now: self.start)
        var answer: PlaceAnswer?
        while let action = machine.nextAction() { if case .answer(_, let given) = action { answer = given } }
        return answer
    }

    /// Every number has its limit; of an account what is used comes as −1 − used.
    @Test func everyLimitIsNamed() {
        let named: [(Int64, RequestLimit, Int64)] = [
            (1, RequestLimit(.key, .requests), 10), (2, RequestLimit(.key, .tokens), 100),
            (3, RequestLimit(.account, .requests), 20), (5, RequestLimit(.key, .streams), 4),
            (6, RequestLimit(.account, .streams), 5),
        ]
        let reading = LimitReading(
            requests: LimitLevel(limit: 20, used: 60_000), tokens: LimitLevel(limit: 100, used: 7))
        for (number, limit, value) in named {
            let refusal = LimitRefusal(
                limit: limit, value: value, fitsInMilliseconds: 250, reading: reading)
            #expect(self.answer(HoldNumbers(-6, number, 250, -60_001, 7)) == .limited(refusal))
        }
        let never = LimitRefusal(
            limit: RequestLimit(.key, .tokens), value: 100, fitsInMilliseconds: nil, reading: reading)
        #expect(self.answer(HoldNumbers(-6, 2, -1, -60_001, 7)) == .limited(never))
    }

    /// A limit that was never sent is a mistake of ours, and admits nothing.
    @Test(arguments: [0, 4, 7] as [Int64])
    func aLimitThatThereIsNotFailsClosed(number: Int64) {
        #expect(self.answer(HoldNumbers(-6, number, 250, 0, 0)) == .unavailable(.storeRefused))
    }

    @Test func aGrantTellsTheTightestLimitsAndTheNearCaps() {
        let notes = GrantNotes(
            limits: LimitReading(
                requests: LimitLevel(limit: 10, used: 5), tokens: LimitLevel(limit: 100, used: 6)),
            nearCaps: [.request, .day])
        #expect(
            self.answer(HoldNumbers(0, 10, 90, 5, 6, 5))
                == .granted(amount: Millicredits(10), balance: Millicredits(90), notes: notes))
        // Without limits and caps, and for a hold that was there: nothing to tell.
        let plain = PlaceAnswer.granted(amount: Millicredits(10), balance: Millicredits(90))
        #expect(self.answer(HoldNumbers(0, 10, 90), limits: PlaceLimits.none) == plain)
        #expect(self.answer(HoldNumbers(1, 10, 90)) == plain)
    }
}

import Testing

@testable import Tollgate

/// A red line must be the right one: what only follows from it is not called a failure of its own.
@Suite struct ChecklistTests {
    private func list(_ outcomes: [(SmokeCheck, CheckOutcome)]) -> Checklist<SmokeCheck> {
        var list = Checklist<SmokeCheck>()
        for (check, outcome) in outcomes {
            list.add(.init(check: check, outcome: outcome, milliseconds: 7))
        }
        return list
    }

    @Test func everyCheckStandsBehindWhatItNeeds() {
        let order = SmokeCheck.allCases
        for (index, check) in order.enumerated() {
            for need in check.needs {
                #expect(order.firstIndex(of: need)! < index, "\(check) needs \(need)")
            }
        }
        #expect(Set(order.map(\.title)).count == order.count)
    }

    @Test func aFailureHoldsUpWhatNeedsItAndNothingElse() {
        let list = self.list([
            (.health, .passed), (.ready, .passed), (.summary, .passed), (.rates, .failed("x")),
            (.user, .passed),
        ])
        #expect(list.obstacle(to: .call) == .rates)
        #expect(list.obstacle(to: .checkout) == nil && list.obstacle(to: .cleanup) == nil)
        #expect(!list.isGreen(isStrict: false) && list.failures == 1)
    }

    /// What was made before something failed must go, so nothing holds this one up.
    @Test(arguments: SmokeCheck.allCases.filter { $0 != .cleanup })
    func noFailureHoldsUpTheCleaning(_ check: SmokeCheck) {
        #expect(self.list([(check, .failed("x"))]).obstacle(to: .cleanup) == nil)
        #expect(self.list([(check, .heldUp(by: "health"))]).obstacle(to: .cleanup) == nil)
    }

    /// Else the second line behind a failure would run and fail again.
    @Test func whatIsHeldUpHoldsUpInTurn() {
        let list = self.list([(.rates, .failed("x")), (.call, .heldUp(by: "rates"))])
        #expect(list.obstacle(to: .usage) == .call)
    }

    /// Without Stripe there is no purchase, and yet calls can be made with a gift.
    @Test func whatIsSkippedHoldsUpNobody() {
        let list = self.list([
            (.health, .passed), (.user, .passed), (.rates, .passed), (.grant, .skipped("no key")),
        ])
        #expect(list.obstacle(to: .call) == nil && list.obstacle(to: .webhook) == nil)
        #expect(list.isGreen(isStrict: false) && !list.isGreen(isStrict: true))
    }

    @Test func aLineSaysWhatWhenAndWhy() {
        let line = Checklist<SmokeCheck>.Line(check: .cors, outcome: .failed("it is *"), milliseconds: 7)
        #expect(line.text == "✗ cors             7 ms      a foreign origin is not let in: it is *")
        let skipped = Checklist<SmokeCheck>.Line(check: .call, outcome: .heldUp(by: "rates"), milliseconds: 0)
        #expect(skipped.text.hasPrefix("– call") && skipped.text.hasSuffix("skipped: 'rates' comes first"))
        #expect(skipped.json.status == "skipped" && line.json.status == "failed")
    }
}

import Metering
import Testing

@testable import MoneyPath

/// Rule G4: short is never final, and the ledger is not asked more than once a second.
@Suite struct ShortVerificationTests {
    private let start = Moment(nanoseconds: 1_000_000_000_000)

    private func snapshot(_ version: Int64, generation: Int64 = 1, gate: Int64 = 1) -> AccountSnapshot {
        AccountSnapshot(
            balance: LedgerBalance(account: 1, generation: generation, version: version, balance: .zero),
            gate: AccountGate(account: 1, version: gate, floor: .zero, blocked: false), spentLastHour: .zero,
            spentToday: .zero, settled: [])
    }

    private func stamp(_ version: Int64, generation: Int64 = 1, gate: Int64 = 1) -> BalanceStamp {
        BalanceStamp(generation: generation, version: version, gateVersion: gate)
    }

    @Test func oneReadAtATimePerAccount() {
        var machine = ShortVerification()
        #expect(machine.short(1, seen: self.stamp(1), now: self.start) == .read)
        #expect(machine.short(1, seen: self.stamp(1), now: self.start) == .wait)
        #expect(machine.short(1, seen: self.stamp(1), now: self.start + .milliseconds(4999)) == .wait)
        #expect(machine.short(2, seen: self.stamp(1), now: self.start) == .read)
    }

    @Test func withinASecondTheLastReadingDecides() {
        var machine = ShortVerification()
        _ = machine.short(1, seen: self.stamp(1), now: self.start)
        machine.finished(1, self.snapshot(5))
        let soon = self.start + .milliseconds(999)
        #expect(machine.short(1, seen: self.stamp(5), now: soon) == .stands)
        #expect(machine.short(1, seen: self.stamp(6), now: soon) == .stands)
        #expect(machine.short(1, seen: self.stamp(4), now: soon) == .useKnown(self.snapshot(5)))
        #expect(
            machine.short(1, seen: self.stamp(9, generation: 0), now: soon) == .useKnown(self.snapshot(5)))
        #expect(machine.short(1, seen: self.stamp(5, gate: 0), now: soon) == .useKnown(self.snapshot(5)))
    }

    @Test func afterASecondTheLedgerIsReadAgain() {
        var machine = ShortVerification()
        _ = machine.short(1, seen: self.stamp(1), now: self.start)
        machine.finished(1, self.snapshot(5))
        #expect(machine.short(1, seen: self.stamp(5), now: self.start + .seconds(1)) == .read)
    }

    @Test func aFailedReadIsNotRepeatedWithinTheSecond() {
        var machine = ShortVerification()
        _ = machine.short(1, seen: self.stamp(1), now: self.start)
        machine.finished(1, nil)
        #expect(machine.short(1, seen: self.stamp(1), now: self.start + .milliseconds(500)) == .stands)
        #expect(machine.short(1, seen: self.stamp(1), now: self.start + .seconds(1)) == .read)
    }

    @Test func aReadThatNeverCameBackIsReplaced() {
        var machine = ShortVerification()
        _ = machine.short(1, seen: self.stamp(1), now: self.start)
        #expect(machine.short(1, seen: self.stamp(1), now: self.start + .seconds(5)) == .read)
    }

    @Test func theTableStaysBounded() {
        var machine = ShortVerification()
        for account in 0..<20_000 as Range<AccountID> {
            let now = self.start + .milliseconds(account)
            _ = machine.short(account, seen: self.stamp(1), now: now)
            machine.finished(account, nil)
        }
        #expect(machine.count <= 5_096)
    }
}

import Metering
import Testing

@testable import MoneyPath

@Suite struct UntoldChangesTests {
    private func balance(_ version: Int64, generation: Int64 = 1) -> LedgerBalance {
        LedgerBalance(account: 1, generation: generation, version: version, balance: Millicredits(version))
    }

    private func gate(_ version: Int64) -> AccountGate {
        AccountGate(account: 1, version: version, floor: .zero, blocked: true)
    }

    /// What comes back after a failure must not hide what came meanwhile, and the two parts are independent.
    @Test func theNewestOfEachPartIsKept() {
        var changes = UntoldChanges()
        changes.add(balance: self.balance(5), gate: self.gate(2))
        #expect(changes.takeBalances() == [self.balance(5)])
        changes.add(balance: self.balance(6), gate: self.gate(1))
        changes.putBack([self.balance(5)])
        #expect(changes.takeBalances() == [self.balance(6)])
        #expect(!changes.isEmpty)
        #expect(changes.takeGates() == [self.gate(2)])
        #expect(changes.isEmpty)
    }

    @Test func aNewGenerationOfTheLedgerIsNewer() {
        var changes = UntoldChanges()
        changes.putBack([self.balance(1, generation: 2)])
        changes.putBack([self.balance(9, generation: 1)])
        #expect(changes.takeBalances() == [self.balance(1, generation: 2)])
    }
}

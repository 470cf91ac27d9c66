import Metering
import Testing

@testable import MoneyPath

/// After a fail-over with two sides, the new primary does not know what the old one was told of.
struct ToldBalancesTests {
    private func balance(_ account: AccountID, _ version: Int64) -> LedgerBalance {
        LedgerBalance(account: account, generation: 1, version: version, balance: Millicredits(100 - version))
    }

    private func at(_ seconds: Int64) -> Moment { Moment(nanoseconds: 0) + .seconds(seconds) }

    @Test func theNextNodeIsToldTheNewestOfEachAccountOnce() {
        var told = ToldBalances()
        told.told(self.balance(1, 5), now: self.at(0))
        told.told(self.balance(2, 3), now: self.at(1))
        told.told(self.balance(1, 6), now: self.at(2))
        told.told(self.balance(1, 4), now: self.at(3))
        #expect(told.next(now: self.at(4)).isEmpty, "the node that has it is not told again")
        told.nodeChanged(now: self.at(4))
        #expect(told.next(now: self.at(4)) == [self.balance(1, 6), self.balance(2, 3)])
        #expect(told.next(now: self.at(4)).isEmpty, "it is under way")
        told.ended(isDelivered: true, now: self.at(5))
        #expect(told.next(now: self.at(5)).isEmpty)
    }

    @Test func whatIsKeptIsKeptForAMinuteAtLeastAndTwoAtMost() {
        for (age, isKept) in [(59, true), (60, true), (119, true), (121, false)] as [(Int64, Bool)] {
            var told = ToldBalances()
            told.told(self.balance(1, 1), now: self.at(0))
            told.told(self.balance(2, 1), now: self.at(age))
            told.nodeChanged(now: self.at(age))
            let accounts = told.next(now: self.at(age)).map(\.account)
            #expect(accounts == (isKept ? [1, 2] : [2]), "\(age) s later")
        }
    }

    @Test func whatANodeDidNotTakeIsToldAgainAfterAPause() {
        var told = ToldBalances()
        told.told(self.balance(1, 1), now: self.at(0))
        told.nodeChanged(now: self.at(1))
        #expect(told.next(now: self.at(1)).count == 1)
        told.ended(isDelivered: false, now: self.at(1))
        #expect(told.next(now: self.at(1)).isEmpty)
        #expect(told.next(now: self.at(2)) == [self.balance(1, 1)])
    }

    /// What the first node took says nothing about the second one.
    @Test func aNodeThatChangesMeanwhileIsToldEverything() {
        var told = ToldBalances()
        told.told(self.balance(1, 1), now: self.at(0))
        told.nodeChanged(now: self.at(1))
        #expect(told.next(now: self.at(1)).count == 1)
        told.nodeChanged(now: self.at(1))
        told.ended(isDelivered: true, now: self.at(1))
        #expect(told.next(now: self.at(1)) == [self.balance(1, 1)])
    }

    @Test func memoryIsBounded() {
        var told = ToldBalances()
        let most = AccountID(ToldBalances.accountsMax)
        for account in 1...3 * most { told.told(self.balance(account, 1), now: self.at(0)) }
        told.nodeChanged(now: self.at(0))
        var count = 0
        while case let page = told.next(now: self.at(0)), !page.isEmpty {
            count += page.count
            told.ended(isDelivered: true, now: self.at(0))
        }
        #expect(count >= Int(most) && count <= 2 * Int(most))
    }
}

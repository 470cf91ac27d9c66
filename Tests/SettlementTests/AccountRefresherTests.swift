import Logging
import Metering
import Synchronization
import Testing

@testable import Settlement

/// A store that fails a number of times, balances and gates each by themselves.
private final class StubbornHolds: HoldPosting {
    struct State {
        var balances: [LedgerBalance] = []
        var gates: [AccountGate] = []
        var balanceFailures: Int
        var gateFailures: Int
        var refused: Set<AccountID> = []
    }
    struct Gone: Error {}
    let state: Mutex<State>

    init(balanceFailures: Int = 0, gateFailures: Int = 0, refused: Set<AccountID> = []) {
        self.state = Mutex(
            State(balanceFailures: balanceFailures, gateFailures: gateFailures, refused: refused))
    }

    func posted(_ postings: [PostedAccount]) async throws {
        try self.state.withLock { state in
            state.balanceFailures -= 1
            if state.balanceFailures >= 0 { throw Gone() }
            let refused = Set(postings.map(\.balance.account)).intersection(state.refused)
            state.balances += postings.map(\.balance).filter { !refused.contains($0.account) }
            state.refused = []
            if !refused.isEmpty { throw PostingRefused(accounts: refused, code: "WRONGTYPE") }
        }
    }

    func gateChanged(_ gates: [AccountGate]) async throws {
        try self.state.withLock { state in
            state.gateFailures -= 1
            if state.gateFailures >= 0 { throw Gone() }
            state.gates += gates
        }
    }
}

@Suite struct AccountRefresherTests {
    private func run(_ changes: [AccountChange], telling holds: StubbornHolds) async {
        let refresher = AccountRefresher(
            holds: holds, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let (stream, continuation) = AsyncStream<AccountChange>.makeStream()
        for change in changes { continuation.yield(change) }
        continuation.finish()
        await refresher.run(stream)
    }

    private func change(_ account: AccountID, _ version: Int64, blocked: Bool = false) -> AccountChange {
        AccountChange(
            balance: LedgerBalance(
                account: account, generation: 1, version: version, balance: Millicredits(version)),
            gate: AccountGate(account: account, version: version, floor: .zero, blocked: blocked))
    }

    /// S2: a block that the store missed has nobody else who would tell it.
    @Test(.timeLimit(.minutes(1))) func aChangeIsToldUntilItIsAcknowledged() async {
        let holds = StubbornHolds(balanceFailures: 2, gateFailures: 3)
        await self.run([self.change(1, 7, blocked: true)], telling: holds)
        let state = holds.state.withLock { ($0.balances, $0.gates) }
        #expect(state.0.map(\.version) == [7])
        #expect(state.1.map(\.blocked) == [true])
    }

    /// A balance that cannot be told must not keep a block from the store.
    @Test(.timeLimit(.minutes(1))) func aGateIsToldThoughItsBalanceIsNot() async {
        let holds = StubbornHolds(balanceFailures: 3)
        await self.run([self.change(1, 7, blocked: true)], telling: holds)
        holds.state.withLock { #expect($0.gates.count == 1 && $0.balances.count == 1) }
    }

    @Test(.timeLimit(.minutes(1))) func onlyTheAccountThatWasRefusedIsToldAgain() async {
        let holds = StubbornHolds(refused: [2])
        await self.run([self.change(1, 1), self.change(2, 1), self.change(3, 1)], telling: holds)
        let told = holds.state.withLock { $0.balances.map(\.account) }
        #expect(Set(told) == [1, 2, 3] && told.filter { $0 != 2 }.count == 2)
    }
}

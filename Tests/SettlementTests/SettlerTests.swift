import Logging
import Metering
import Synchronization
import Testing

@testable import Settlement

/// A ledger that fails now and then after or before it took the batch; exactly-once by hold id.
final class FlakyLedger: SettlementPosting {
    struct State {
        var rows: [HoldID: Millicredits] = [:]
        var calls = 0
        var balance: Int64 = 1_000_000
        var version: Int64 = 0
    }
    struct Unknown: Error {}
    let state = Mutex(State())
    let failEvery: Int

    init(failEvery: Int) { self.failEvery = failEvery }

    func settle(_ batch: [Settlement]) async throws -> SettlementReceipt {
        try self.state.withLock { state in
            state.calls += 1
            let fails = self.failEvery > 0 && state.calls % self.failEvery == 0
            if fails && state.calls % 2 == 0 { throw Unknown() }
            for settlement in batch where state.rows[settlement.hold] == nil {
                state.rows[settlement.hold] = settlement.charge.amount
                state.balance -= settlement.charge.amount.value
                state.version += 1
            }
            if fails { throw Unknown() }  // committed, but the answer is lost
            return SettlementReceipt(balances: [
                LedgerBalance(
                    account: 1, generation: 1, version: state.version, balance: Millicredits(state.balance))
            ])
        }
    }
}

final class FlakyHolds: HoldPosting {
    let settled = Mutex<[HoldID: Int]>([:])
    let newest = Mutex<LedgerBalance?>(nil)
    let calls = Atomic(0)

    struct Unknown: Error {}

    func posted(_ postings: [PostedAccount]) async throws {
        let call = self.calls.wrappingAdd(1, ordering: .relaxed).newValue
        self.settled.withLock { settled in
            for hold in postings.flatMap(\.settled) { settled[hold.hold, default: 0] += 1 }
        }
        self.newest.withLock { newest in
            for balance in postings.map(\.balance) where balance.version >= newest?.version ?? 0 {
                newest = balance
            }
        }
        if call % 3 == 0 { throw Unknown() }
    }

    func gateChanged(_ gates: [AccountGate]) async throws {}
}

/// Nothing recorded is lost, and nothing is posted twice, whatever the stores answer.
@Test(.timeLimit(.minutes(1)), arguments: [0, 2, 3])
func everythingRecordedIsPostedOnceAndTheStoreIsTold(failEvery: Int) async {
    let ledger = FlakyLedger(failEvery: failEvery)
    let holds = FlakyHolds()
    let settler = Settler(ledger: ledger, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    await withTaskGroup { group in
        group.addTask { await settler.run(telling: holds) }
        group.addTask {
            for number in 0..<3000 {
                #expect(settler.reserve())
                settler.record(outcome(UInt64(number)))
                if number % 700 == 0 { await Task.yield() }
            }
            settler.drain()
        }
    }
    let left: Int64 = 1_000_000 - 3000 * 5
    #expect(settler.backlog == 0)
    ledger.state.withLock { state in
        #expect(state.rows.count == 3000)
        #expect(state.balance == left)
    }
    #expect(holds.settled.withLock { $0.count } == 3000)
    #expect(holds.newest.withLock { $0?.balance.value } == left)
}

import Logging
import Metering
import MoneyPath
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

    func reconnect() {}

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

/// A store that fails at every third call: by turns before it took the postings, so that only a repetition brings
/// them, and after, with its answer lost.
final class FlakyHolds: HoldPosting {
    struct State {
        var calls = 0
        var settled: [HoldID: Int] = [:]
        var newest: LedgerBalance?
    }
    struct Unknown: Error {}
    let state = Mutex(State())

    func posted(_ postings: [PostedAccount]) async throws {
        try self.state.withLock { state in
            state.calls += 1
            let fails = state.calls % 3 == 0
            if fails && state.calls % 2 == 0 { throw Unknown() }
            for hold in postings.flatMap(\.settled) { state.settled[hold.hold, default: 0] += 1 }
            for balance in postings.map(\.balance) where balance.version >= state.newest?.version ?? 0 {
                state.newest = balance
            }
            if fails { throw Unknown() }
        }
    }

    func gateChanged(_ gates: [AccountGate]) async throws {}
}

/// A store that is away for good.
struct AbsentHolds: HoldPosting {
    struct Gone: Error {}
    func posted(_ postings: [PostedAccount]) async throws { throw Gone() }
    func gateChanged(_ gates: [AccountGate]) async throws { throw Gone() }
}

/// Nothing recorded is lost, and nothing is posted twice, whatever the stores answer.
@Test(.timeLimit(.minutes(1)), arguments: [0, 2, 3])
func everythingRecordedIsPostedOnceAndTheStoreIsTold(failEvery: Int) async {
    let ledger = FlakyLedger(failEvery: failEvery)
    let holds = FlakyHolds()
    let settler = Settler(
        ledger: ledger, journal: UnjournaledOutcomes(),
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    await withTaskGroup { group in
        group.addTask { await settler.run(telling: holds) }
        group.addTask {
            for number in 0..<3000 {
                #expect(settler.reserve())
                _ = settler.record(outcome(UInt64(number))) {}
                if number % 700 == 0 { await Task.yield() }
            }
            settler.drain()
        }
    }
    let left: Int64 = 1_000_000 - 3000 * 5
    #expect(settler.backlog == 0)
    let credits = settler.samples().filter { $0.name == "billing_credits_deducted_total" }
    #expect(credits.map(\.labels) == [[.init("model", "gpt-4o-mini")]])
    #expect(credits.map(\.value.description) == ["15"], "what the ledger has, however often it was sent")
    ledger.state.withLock { state in
        #expect(state.rows.count == 3000)
        #expect(state.balance == left)
    }
    holds.state.withLock { state in
        #expect(state.settled.count == 3000)
        #expect(state.newest?.balance.value == left)
    }
}

/// A store that is away must not keep the process, and what it was not told must be known to somebody.
@Test(.timeLimit(.minutes(1))) func aStoreThatIsAwayIsGivenUpAndTheLogSaysWhatItMissed() async {
    let lines = Mutex<[String]>([])
    let logger = Logger(label: "test") { _ in
        LineCollector(lines: { line in lines.withLock { $0.append(line) } })
    }
    let settler = Settler(
        ledger: FlakyLedger(failEvery: 0), journal: UnjournaledOutcomes(), logger: logger,
        storePatience: .milliseconds(50))
    for number in 1...3 { settler.recordUnreserved(outcome(UInt64(number))) }
    settler.drain()
    await settler.run(telling: AbsentHolds())
    #expect(settler.backlog == 0, "the ledger has it all")
    #expect(lines.withLock { $0 } == ["hold store not told of settled holds accounts=1 holds=3"])
}

/// A store that never takes account 666.
final class PickyHolds: HoldPosting {
    let settled = Mutex<Set<HoldID>>([])

    func posted(_ postings: [PostedAccount]) async throws {
        let taken = postings.filter { $0.balance.account != 666 }
        self.settled.withLock { $0.formUnion(taken.flatMap(\.settled).map(\.hold)) }
        if taken.count < postings.count { throw PostingRefused(accounts: [666], code: "WRONGTYPE") }
    }

    func gateChanged(_ gates: [AccountGate]) async throws {}
}

/// A ledger that answers for every account of a batch.
struct WillingLedger: SettlementPosting {
    func reconnect() {}

    func settle(_ batch: [Settlement]) async throws -> SettlementReceipt {
        SettlementReceipt(
            balances: Set(batch.map(\.account)).map {
                LedgerBalance(account: $0, generation: 1, version: 1, balance: .zero)
            })
    }
}

/// O6: one account that the store refuses for good is given up with the process, and holds up nobody else.
@Test(.timeLimit(.minutes(1))) func anAccountThatTheStoreRefusesHoldsUpNoOther() async {
    let holds = PickyHolds()
    let settler = Settler(
        ledger: WillingLedger(), journal: UnjournaledOutcomes(),
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, storePatience: .milliseconds(200))
    for number in 1...100 {
        settler.recordUnreserved(outcome(UInt64(number), account: number == 50 ? 666 : AccountID(number)))
    }
    settler.drain()
    await settler.run(telling: holds)
    #expect(holds.settled.withLock { $0.count } == 99)
    #expect(settler.unfinished(among: [outcome(50).hold, outcome(51).hold]) == [outcome(50).hold])
}

/// O6: what is posted again to a new generation waits while the store is behind with what is new.
@Test func outcomesThatWerePostedBeforeWaitWhileTheStoreIsBehind() async {
    let settler = Settler(
        ledger: WillingLedger(), journal: UnjournaledOutcomes(),
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    #expect(await settler.repost((1...50_001).map { outcome($0) }))
    #expect(await settler.repost([outcome(60_000)]) == false)
}

/// Hands on each line, with its metadata in order.
private struct LineCollector: LogHandler {
    let lines: @Sendable (String) -> Void
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let facts = (event.metadata ?? [:]).map { " \($0.key)=\($0.value)" }.sorted().joined()
        self.lines("\(event.message)\(facts)")
    }
}

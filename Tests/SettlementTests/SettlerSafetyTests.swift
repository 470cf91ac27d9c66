import Logging
import Metering
import MoneyPath
import Synchronization
import Testing

@testable import Settlement

/// A ledger whose first answers come from a primary that was replaced and does not know it.
private final class ReplacedPrimary: SettlementPosting {
    let calls = Mutex<[Int64]>([])
    let reconnects = Atomic(0)

    func reconnect() { self.reconnects.wrappingAdd(1, ordering: .relaxed) }

    func settle(_ batch: [Settlement]) async throws -> SettlementReceipt {
        let generation = self.calls.withLock { calls in
            let generation: Int64 = calls.count < 2 ? 1 : 2
            calls.append(generation)
            return generation
        }
        return SettlementReceipt(balances: [
            LedgerBalance(account: 1, generation: generation, version: 1, balance: Millicredits(5))
        ])
    }
}

/// A journal that is full.
private final class FullJournal: OutcomeJournal {
    var isStrict: Bool { false }
    var isReady: Bool { false }
    func reserve() -> Bool { true }
    func giveBackReservation() {}
    func open(_ worst: Settlement) -> Bool { true }
    func progressed(_ progress: ExchangeProgress) {}
    func acknowledge(through sequence: UInt64) {}
    func backlog(from sequence: UInt64, limit: Int) -> JournalPage { JournalPage() }
    func whenDurable(_ sequence: UInt64, _ completion: @escaping @Sendable () -> Void) {}
    func end(_ settlement: Settlement, reserved: Bool) -> UInt64? { nil }
}

@Suite struct SettlerSafetyTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// B8: what the old primary commits is lost with it, so its receipt is no commit.
    @Test(.timeLimit(.minutes(1))) func aReceiptOfAnOlderGenerationIsNoCommit() async {
        let ledger = ReplacedPrimary()
        let settler = Settler(ledger: ledger, journal: UnjournaledOutcomes(), logger: Self.quiet)
        settler.saw(generation: 2)
        settler.recordUnreserved(outcome(1))
        settler.drain()
        await settler.run(telling: FlakyHolds())
        #expect(ledger.calls.withLock { $0 } == [1, 1, 2])
        #expect(settler.backlog == 0)
        // Over the same connection it would be asked again.
        #expect(ledger.reconnects.load(ordering: .relaxed) == 2)
    }

    /// The journal would be noted as posted to the new generation, and is not.
    @Test func whatIsPostedAgainToAReplacedPrimaryIsNotPosted() async {
        let ledger = ReplacedPrimary()
        let settler = Settler(ledger: ledger, journal: UnjournaledOutcomes(), logger: Self.quiet)
        settler.saw(generation: 2)
        for isPosted in [false, false, true] { #expect(await settler.repost([outcome(1)]) == isPosted) }
        #expect(ledger.reconnects.load(ordering: .relaxed) == 2)
    }

    /// C10: only memory has the outcome, so the reply ends when the ledger has it, too.
    @Test(.timeLimit(.minutes(1))) func aReplyWhoseOutcomeFoundNoRoomWaitsForTheLedger() async {
        let settler = Settler(
            ledger: FlakyLedger(failEvery: 0), journal: FullJournal(), logger: Self.quiet)
        #expect(settler.isStrict, "the data plane has to ask")
        let box = AtomicBox()
        let mustWait = settler.record(outcome(1)) { box.set() }
        #expect(mustWait && !box.isSet)
        settler.drain()
        await settler.run(telling: FlakyHolds())
        #expect(box.isSet)
    }
}

private final class AtomicBox: Sendable {
    private let flag = Atomic(false)
    func set() { self.flag.store(true, ordering: .sequentiallyConsistent) }
    var isSet: Bool { self.flag.load(ordering: .sequentiallyConsistent) }
}

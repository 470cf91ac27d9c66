import Logging
import Metering
import MoneyPath
import Synchronization
import Testing

@testable import Settlement

/// Numbers outcomes from 1 and gives them back; those of `unreadable` it cannot.
private final class RememberedOutcomes: OutcomeJournal {
    struct State {
        var outcomes: [Settlement] = []
        var acknowledged: UInt64 = 0
    }
    let state = Mutex(State())
    let unreadable: Set<UInt64>
    /// Called while the backlog is read.
    let reading = Mutex<(@Sendable () -> Void)?>(nil)

    init(unreadable: Set<UInt64> = []) { self.unreadable = unreadable }

    var isStrict: Bool { false }
    var isReady: Bool { true }
    func reserve() -> Bool { true }
    func giveBackReservation() {}
    func open(_ worst: Settlement) -> Bool { true }
    func progressed(_ progress: ExchangeProgress) {}
    func whenDurable(_ sequence: UInt64, _ completion: @escaping @Sendable () -> Void) { completion() }

    func end(_ settlement: Settlement, reserved: Bool) -> UInt64? {
        self.state.withLock { state in
            state.outcomes.append(settlement)
            return UInt64(state.outcomes.count)
        }
    }

    func acknowledge(through sequence: UInt64) {
        self.state.withLock { $0.acknowledged = max($0.acknowledged, sequence) }
    }

    func backlog(from sequence: UInt64, limit: Int) -> JournalPage {
        self.reading.withLock { $0 }?()
        let outcomes = self.state.withLock { $0.outcomes }
        var page = JournalPage()
        for number in (sequence...UInt64(outcomes.count)).prefix(limit) {
            if self.unreadable.contains(number) {
                page.lost.append(number)
            } else {
                let settlement = outcomes[Int(number) - 1]
                page.outcomes.append(JournaledOutcome(sequence: number, settlement: settlement))
            }
        }
        return page
    }
}

@Suite(.timeLimit(.minutes(1))) struct SettlerBacklogTests {
    private let ledger = FlakyLedger(failEvery: 0)

    private func settler(_ journal: any OutcomeJournal) -> Settler {
        Settler(
            ledger: self.ledger, journal: journal,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, memoryMax: 4)
    }

    /// Every event loop takes the lock of the queue: reading ten thousand outcomes under it would stop them all.
    @Test func outcomesAreRecordedWhileTheBacklogIsRead() async {
        let journal = RememberedOutcomes()
        let settler = self.settler(journal)
        for number: UInt64 in 1...12 { settler.recordUnreserved(outcome(number)) }
        let next = Atomic<UInt64>(13)
        journal.reading.withLock { reading in
            reading = {
                let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
                if number <= 15 { settler.recordUnreserved(outcome(number)) }
            }
        }
        settler.drain()
        await settler.run(telling: FlakyHolds())
        #expect(next.load(ordering: .relaxed) > 13 && settler.backlog == 0)
        let recorded = journal.state.withLock { $0.outcomes.count }
        #expect(self.ledger.state.withLock { $0.rows.count } == recorded)
        #expect(journal.state.withLock { $0.acknowledged } == UInt64(recorded))
        journal.reading.withLock { $0 = nil }
    }

    @Test func theJournalIsNotAcknowledgedBeyondWhatItLost() async {
        let journal = RememberedOutcomes(unreadable: [7])
        let settler = self.settler(journal)
        for number: UInt64 in 1...12 { settler.recordUnreserved(outcome(number)) }
        settler.drain()
        await settler.run(telling: FlakyHolds())
        #expect(self.ledger.state.withLock { $0.rows.count } == 11)
        #expect(journal.state.withLock { $0.acknowledged } == 6)
        // Nothing else tells that the journal is kept from there on.
        let lost = settler.samples().first { $0.name == "settlement_outcomes_lost_total" }
        #expect(lost?.value == ExactDecimal(coefficient: 1, scale: 0))
        #expect(settler.unfinished(among: Set((1...12).map { outcome($0).hold })) == [outcome(7).hold])
    }

    /// The sweep takes for abandoned what nobody knows; and a new epoch of the store waits for what is not in memory to
    /// be captured again.
    @Test func whatIsOnlyInTheJournalIsKnownToSweepAndRecapture() {
        let settler = self.settler(RememberedOutcomes())
        let all = (1...12).map { outcome($0) }
        for settlement in all { settler.recordUnreserved(settlement) }
        let asked = Set(all.map(\.hold)).union([outcome(99).hold])
        #expect(settler.unfinished(among: asked) == Set(all.map(\.hold)))
        #expect(settler.hasSpilled && settler.unposted() == Array(all.prefix(settler.unposted().count)))
    }

    /// A full disk must not become a full memory: the sweep finds the same again as long as it is not taken.
    @Test func aSweepRecordsNoMoreThanMemoryAllowsWithoutAJournal() {
        let settler = self.settler(UnjournaledOutcomes())
        let most = SettlementQueue.Limits().unjournaledMax
        for number in 1...most + 5 { settler.adopt(outcome(UInt64(number))) }
        #expect(settler.backlog == most)
        settler.recordUnreserved(outcome(UInt64(most) + 9))
        #expect(settler.backlog == most + 1, "what only the data plane knows always goes in")
    }
}

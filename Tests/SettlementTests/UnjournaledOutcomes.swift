import Metering
import MoneyPath
import Synchronization

@testable import Settlement

/// Outcomes without a journal, for tests of what is around it: bounded by a count, lost with the process.
final class UnjournaledOutcomes: OutcomeJournal {
    private let reservationsMax: Int
    private let reserved = Mutex(0)

    init(reservationsMax: Int = 500_000) { self.reservationsMax = reservationsMax }

    var isStrict: Bool { false }
    var isReady: Bool { true }

    func reserve() -> Bool {
        self.reserved.withLock { reserved in
            guard reserved < self.reservationsMax else { return false }
            reserved += 1
            return true
        }
    }

    func giveBackReservation() {
        self.reserved.withLock { reserved in
            precondition(reserved > 0, "each exchange gives back its own reservation, once")
            reserved -= 1
        }
    }

    func open(_ worst: Settlement) -> Bool { true }
    func progressed(_ progress: ExchangeProgress) {}
    func acknowledge(through sequence: UInt64) {}
    func backlog(from sequence: UInt64, limit: Int) -> JournalPage { JournalPage() }
    func whenDurable(_ sequence: UInt64, _ completion: @escaping @Sendable () -> Void) { completion() }

    func end(_ settlement: Settlement, reserved: Bool) -> UInt64? {
        if reserved { self.giveBackReservation() }
        return nil
    }
}

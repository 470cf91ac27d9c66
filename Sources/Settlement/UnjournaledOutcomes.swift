import Metering
import MoneyPath
import Synchronization

/// Outcomes without a journal, for tests of what is around it: bounded by a count, lost with the process.
public final class UnjournaledOutcomes: OutcomeJournal {
    private let reservationsMax: Int
    private let reserved = Mutex(0)

    public init(reservationsMax: Int = 500_000) { self.reservationsMax = reservationsMax }

    public var isStrict: Bool { false }
    public var isReady: Bool { true }

    public func reserve() -> Bool {
        self.reserved.withLock { reserved in
            guard reserved < self.reservationsMax else { return false }
            reserved += 1
            return true
        }
    }

    public func giveBackReservation() {
        self.reserved.withLock { reserved in
            precondition(reserved > 0, "each exchange gives back its own reservation, once")
            reserved -= 1
        }
    }

    public func open(_ worst: Settlement) -> Bool { true }
    public func progressed(_ progress: ExchangeProgress) {}
    public func acknowledge(through sequence: UInt64) {}
    public func outcomes(from sequence: UInt64, limit: Int) -> [JournaledOutcome] { [] }
    public func whenDurable(_ sequence: UInt64, _ completion: @escaping @Sendable () -> Void) { completion() }

    public func end(_ settlement: Settlement, reserved: Bool) -> UInt64? {
        if reserved { self.giveBackReservation() }
        return nil
    }
}

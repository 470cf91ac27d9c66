import Glibc
import Synchronization

/// The ledger's time, as near as this process knows it: hold ids decide in which partition a settlement is kept, so
/// they are made on one clock for all instances (MONEY_PATH C13).
///
/// Until the first heartbeat it is this host's wall clock. From then on it runs with the host's steady clock from what
/// the ledger said, so that a wall clock that is set meanwhile changes nothing. May be used from any thread.
public final class LedgerClock: Sendable {
    /// A clock that is further off is not corrected but distrusted: nobody knows which of the two is wrong.
    public static let offsetMillisecondsMax: Int64 = 30_000
    /// A heartbeat that took longer says too little; an earlier one stands.
    static let roundTripMillisecondsMax: Int64 = 5_000

    /// Milliseconds of this host's clocks; a seam for tests.
    struct Source: Sendable {
        /// Since 1970; can be set.
        var wall: @Sendable () -> Int64
        /// Since any moment; never set, and goes on while the host sleeps.
        var steady: @Sendable () -> Int64

        static let kernel = Source(
            wall: { milliseconds(CLOCK_REALTIME) }, steady: { milliseconds(CLOCK_BOOTTIME) })

        private static func milliseconds(_ clock: clockid_t) -> Int64 {
            var now = timespec()
            clock_gettime(clock, &now)
            return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
        }
    }

    private let source: Source
    private let offset = Atomic<Int64>(0)
    /// The ledger's clock minus our steady one; `unknown` before the first heartbeat.
    private let ahead = Atomic<Int64>(LedgerClock.unknown)
    private static let unknown = Int64.min
    private let mayBeTrusted = Atomic(true)

    public convenience init() { self.init(source: .kernel) }

    init(source: Source) { self.source = source }

    /// The ledger's clock minus this host's wall clock, at the last heartbeat.
    public var offsetMilliseconds: Int64 { self.offset.load(ordering: .relaxed) }

    /// Whether holds may be placed. If not, every exchange that needs one is refused.
    public var isTrusted: Bool {
        self.mayBeTrusted.load(ordering: .relaxed)
            && self.offsetMilliseconds.magnitude <= Self.offsetMillisecondsMax.magnitude
    }

    /// Milliseconds since 1970 on the ledger's clock.
    public func nowMilliseconds() -> Int64 {
        let ahead = self.ahead.load(ordering: .relaxed)
        return ahead == Self.unknown ? self.source.wall() : self.source.steady() &+ ahead
    }

    /// As `nowMilliseconds`; nil before the first heartbeat, or while the clock is not trusted: for what cannot be undone.
    public func trustedMilliseconds() -> Int64? {
        let ahead = self.ahead.load(ordering: .relaxed)
        return ahead == Self.unknown || !self.isTrusted ? nil : self.source.steady() &+ ahead
    }

    /// A moment before a heartbeat is sent, for `heard`.
    public func askingMilliseconds() -> Int64 { self.source.steady() }

    /// A heartbeat brought the ledger's time, which was read some time between asking and now. Ends a `distrust`.
    ///
    /// - Parameter asked: `askingMilliseconds()` before it was sent.
    public func heard(ledgerMilliseconds ledger: Int64, asked: Int64) {
        let (steady, wall) = (self.source.steady(), self.source.wall())
        let roundTrip = steady &- asked
        guard (0...Self.roundTripMillisecondsMax).contains(roundTrip) else { return }
        let now = ledger &+ roundTrip / 2
        self.offset.store(now &- wall, ordering: .relaxed)
        self.ahead.store(now &- steady, ordering: .relaxed)
        self.mayBeTrusted.store(true, ordering: .relaxed)
    }

    /// Something says that the time is not to be relied on: nothing is admitted until the next heartbeat is heard.
    public func distrust() { self.mayBeTrusted.store(false, ordering: .relaxed) }
}

import Metering
import MoneyPath
import Synchronization

/// What one pass of the sweep saw and did.
struct SweepFigures: Sendable {
    var accounts = 0
    var holds = 0
    var captures = 0
    /// By the hold store's clock, milliseconds since 1970; nil: nothing is held.
    var oldestPlacedMilliseconds: Int64?
    var reaped = 0
    var recorded = 0
    var released = 0
    var evicted = 0
    var unreadable = 0
    /// Accounts that could not be swept.
    var failed = 0
    /// Accounts whose sums are not those of their entries (R1, R2, R4).
    var wrongSums = 0
    /// Σ |store − ledger| over balances of one version (R3).
    var mismatch: Int64 = 0

    mutating func add(_ account: StoredAccount) {
        self.accounts += 1
        self.holds += account.holds.count
        self.captures += account.captures.count
        if !account.problems.isEmpty { self.wrongSums += 1 }
        let oldest = account.holds.map(\.placedMilliseconds).min()
        if let oldest { self.oldestPlacedMilliseconds = min(oldest, self.oldestPlacedMilliseconds ?? oldest) }
    }
}

/// The sweep's figures for a scrape: those of the last whole pass, and sums over all.
final class SweepCounters: Sendable {
    private struct Sums: Sendable {
        var passes = 0
        var reaped = 0
        var recorded = 0
        var released = 0
        var evicted = 0
        var unreadable = 0
        var last = SweepFigures()
    }

    private let sums = Mutex(Sums())

    func finished(_ figures: SweepFigures) {
        self.sums.withLock { sums in
            sums.passes += 1
            sums.reaped += figures.reaped
            sums.recorded += figures.recorded
            sums.released += figures.released
            sums.evicted += figures.evicted
            sums.unreadable += figures.unreadable
            sums.last = figures
        }
    }

    /// - Parameter nowMilliseconds: wall clock.
    func samples(nowMilliseconds: Int64) -> [MetricSample] {
        let sums = self.sums.withLock { $0 }
        func gauge(_ name: String, _ help: String, _ value: Int) -> MetricSample {
            MetricSample(name, help: help, kind: .gauge, count: value)
        }
        func counter(_ name: String, _ help: String, _ value: Int) -> MetricSample {
            MetricSample(name, help: help, kind: .counter, count: value)
        }
        let age =
            sums.last.oldestPlacedMilliseconds.map {
                max(0, nowMilliseconds.subtractingReportingOverflow($0).partialValue) / 1000
            } ?? 0
        return [
            gauge("hold_age_seconds", "Age of the oldest hold in the store at the last sweep.", Int(age)),
            gauge("holds_stored", "Holds in the store at the last sweep.", sums.last.holds),
            gauge("captures_stored", "Captures in the store at the last sweep.", sums.last.captures),
            gauge("accounts_stored", "Accounts in the store at the last sweep.", sums.last.accounts),
            gauge(
                "store_sums_wrong", "Accounts whose sums are not those of their entries (R1, R2, R4).",
                sums.last.wrongSums),
            gauge(
                "store_mismatch_millicredits",
                "Difference of hold store and ledger over balances of one version (R3).",
                Int(sums.last.mismatch)),
            gauge(
                "sweep_accounts_failed", "Accounts that the last sweep could not look after.",
                sums.last.failed),
            counter("sweep_passes_total", "Passes over the hold store.", sums.passes),
            counter("holds_reaped_total", "Holds taken over from dead instances.", sums.reaped),
            counter("sweep_settled_total", "Outcomes settled for others by the sweep.", sums.recorded),
            counter("sweep_released_total", "Holds given back that nobody knew.", sums.released),
            counter("sweep_evicted_total", "Idle accounts that the hold store forgot.", sums.evicted),
            counter("sweep_unreadable_total", "Captures that cannot be read.", sums.unreadable),
        ]
    }
}

extension Sweeper: MetricSource {
    public func samples() -> [MetricSample] {
        self.counters.samples(nowMilliseconds: JournalStore.wallClock())
    }
}

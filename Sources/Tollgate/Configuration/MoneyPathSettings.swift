import MoneyPath
import RedisHolds
import Settlement

/// The settings of the path from hold to settlement: journal, leases, sweeps.
struct MoneyPathSettings: Sendable {
    var journalDirectory = "var/journal"
    var journal = JournalStore.Settings()
    var holds = RedisHoldSettings()
    var life = InstanceLife.Settings()
    var sweep = Sweeper.Settings()
    /// Outcomes that wait in memory; the others are read from the journal when their turn comes.
    var memoryOutcomesMax = 20_000

    init(_ reader: inout SettingsReader) {
        self.journalDirectory = reader.text("JOURNAL_DIR") ?? self.journalDirectory
        self.journal.syncMode = reader.choice("JOURNAL_SYNC", default: .group)
        if let bytes = reader.integer("JOURNAL_SEGMENT_BYTES", in: (64 << 10)...(1 << 30)) {
            self.journal.segmentBytes = Int(bytes / 4096 * 4096)
        }
        if let hours = reader.integer("JOURNAL_RETENTION_HOURS", in: 1...8760) {
            self.journal.limits.retentionMilliseconds = hours * 3_600_000
        }
        self.readTestLimits(&reader)
    }

    /// Crash tests cannot wait for minutes, or make outcomes by the ten thousand. Not for operators: a lease shorter than a pause of the process lets
    /// others settle what it is still serving.
    private mutating func readTestLimits(_ reader: inout SettingsReader) {
        if let seconds = reader.integer("TOLLGATE_TEST_LEASE_SECONDS", in: 1...600) {
            self.holds.lease = .seconds(seconds)
            self.holds.session.touchEvery = .milliseconds(seconds * 1000 / 3)
        }
        if let seconds = reader.integer("TOLLGATE_TEST_GRACE_SECONDS", in: 1...600) {
            self.life.liveness.grace = .seconds(seconds)
        }
        if let milliseconds = reader.integer("TOLLGATE_TEST_HEARTBEAT_MILLISECONDS", in: 50...60_000) {
            self.life.beatEvery = .milliseconds(milliseconds)
            self.life.liveness.gapMax = self.life.beatEvery * 3
            self.life.liveness.beatMax = self.life.beatEvery * 3
        }
        if let seconds = reader.integer("TOLLGATE_TEST_SWEEP_SECONDS", in: 1...600) {
            self.sweep.every = .seconds(seconds)
        }
        if let outcomes = reader.integer("TOLLGATE_TEST_MEMORY_OUTCOMES", in: 1...1_000_000) {
            self.memoryOutcomesMax = Int(outcomes)
        }
    }
}

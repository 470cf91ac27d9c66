import Metering
import MoneyPath

/// What this process knows of the boots of its host that ended, and of the ledger's generation (rules F8, P7). A value;
/// its owner reads the disk.
struct HostBoots: Sendable {
    /// What the journal of a boot says.
    struct Reading: Sendable {
        /// Its holds that the ledger may not have yet.
        var unposted: Set<HoldID>
        /// Nothing was skipped. If something was, nothing is concluded from an OPEN that is not there.
        var isComplete: Bool
    }

    private struct Boot {
        /// nil: nobody has asked yet.
        var reading: Reading?
        /// All of it was posted to this generation.
        var generation: Int64 = 0
        /// Holds that have an OPEN, among those that were asked for.
        var opened: Set<HoldID> = []
        /// It has no directory any more, as nothing was ever written to it.
        var isEmpty = false
    }

    private struct Retry {
        var failures = 0
        var at: Moment
    }

    private var boots: [BootID: Boot] = [:]
    private var retries: [BootID: Retry] = [:]
    /// Newest generation that was heard of; nil: the ledger was not asked yet.
    private(set) var generation: Int64?

    private static let retryAfter = Span.seconds(30)
    private static let retryAfterMax = Span.seconds(3600)

    // MARK: The ledger

    /// Returns whether that is news.
    mutating func heard(generation: Int64) -> Bool {
        guard generation > self.generation ?? .min else { return false }
        self.generation = generation
        return true
    }

    func isCurrent(_ generation: Int64) -> Bool { self.generation == generation }

    // MARK: Boots

    var ended: Set<BootID> { Set(self.boots.keys) }

    mutating func read(_ boot: BootID, _ reading: Reading) {
        self.boots[boot, default: Boot()].reading = reading
    }

    /// Nothing was written to it, so none of its requests went upstream.
    mutating func empty(_ boot: BootID) {
        self.boots[boot] = Boot(
            reading: Reading(unposted: [], isComplete: true), generation: .max, isEmpty: true)
    }

    /// Also of our own.
    mutating func posted(_ boot: BootID, to generation: Int64) {
        self.boots[boot]?.generation = generation
        self.retries[boot] = nil
    }

    /// These have a directory, our own excepted; what is known of others is forgotten.
    mutating func found(_ directories: [JournalRecoveryScan.Listed]) {
        for listed in directories where listed.isMarked || self.boots[listed.boot] != nil {
            self.boots[listed.boot, default: Boot()].generation = listed.generation
        }
        let here = Set(directories.map(\.boot))
        self.boots = self.boots.filter { $0.value.isEmpty || here.contains($0.key) }
    }

    /// Boots that were not posted to the present generation, oldest first.
    func lagging(now: Moment) -> [BootID] {
        guard let generation = self.generation else { return [] }
        return self.boots.filter { $0.value.generation < generation && self.mayTry($0.key, now: now) }
            .keys.sorted()
    }

    // MARK: The sweep

    /// Whether what its journal says can be relied on: it is whole, and the ledger has what was posted from it.
    func isRecovered(_ boot: BootID) -> Bool {
        guard let known = self.boots[boot], let reading = known.reading else { return false }
        return reading.isComplete && self.isPosted(known)
    }

    func isOpened(_ boot: BootID, _ hold: HoldID) -> Bool {
        self.boots[boot]?.reading?.unposted.contains(hold) ?? false
    }

    /// Boots whose estimates may be reviewed (rule F8): also those that nobody read yet.
    var reviewable: [BootID] {
        self.boots.filter { $0.value.reading?.isComplete != false && self.isPosted($0.value) }.keys.sorted()
    }

    private func isPosted(_ boot: Boot) -> Bool {
        guard let generation = self.generation else { return false }
        return boot.generation >= generation
    }

    enum Review: Equatable {
        /// These have no OPEN, and nothing of the boot needs to be read.
        case unopened(Set<HoldID>)
        /// Look for these in its journal, then call `opened`.
        case read(Set<HoldID>)
    }

    /// Holds of this boot were estimated.
    func review(_ holds: Set<HoldID>, of boot: BootID) -> Review {
        guard let known = self.boots[boot] else { return .unopened([]) }
        if known.isEmpty { return .unopened(holds) }
        let unknown = holds.subtracting(known.opened).subtracting(known.reading?.unposted ?? [])
        return unknown.isEmpty ? .unopened([]) : .read(unknown)
    }

    /// Its journal has an OPEN for these: their outcome is on its way to the ledger.
    mutating func opened(_ holds: Set<HoldID>, of boot: BootID) { self.boots[boot]?.opened.formUnion(holds) }

    // MARK: Failures

    func mayTry(_ boot: BootID, now: Moment) -> Bool { self.retries[boot].map { now >= $0.at } ?? true }

    /// Boots that are left alone for a while.
    func resting(now: Moment) -> Set<BootID> { Set(self.retries.filter { now < $0.value.at }.keys) }

    /// Tried again after twice the time.
    mutating func failed(_ boot: BootID, now: Moment) {
        let failures = self.retries[boot]?.failures ?? 0
        let pause = min(Self.retryAfter * (1 << Int64(min(failures, 7))), Self.retryAfterMax)
        self.retries[boot] = Retry(failures: failures + 1, at: now + pause)
    }
}

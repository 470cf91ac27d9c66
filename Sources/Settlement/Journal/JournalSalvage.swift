import Glibc
import Metering
import MoneyPath

/// Repairs a journal that recovery refuses: writes what is valid into a new one under the same name, so that the next
/// start takes it over, and keeps the original as `<boot>.damaged`. Blocks.
public struct JournalSalvage: Sendable {
    public let root: String
    let calls: JournalCalls

    static let asideSuffix = ".damaged"
    private static let unfinishedSuffix = ".salvaged"

    public init(root: String, calls: JournalCalls = JournalCalls()) {
        self.root = root
        self.calls = calls
    }

    public enum Action: Sendable {
        /// There is no journal of this boot.
        case unknown
        /// Its process lives, or another is taking it over. Nothing was done.
        case lives
        /// Recovery takes it as it is. Nothing was done.
        case isWhole
        /// All that waited in it was taken over. Nothing was done.
        case isRecovered
        case salvaged(Salvaged)
    }

    public struct Salvaged: Sendable {
        /// What the damaged journal said; its files are at `aside` now.
        public var original: InspectedJournal
        public var aside: String
        /// In the repaired journal.
        public var outcomes = 0
        public var unacknowledged = 0
        public var open = 0
        /// Valid records that were left out: this release cannot read them.
        public var unreadable = 0
    }

    /// - Parameter nowMilliseconds: wall clock, since 1970.
    public func run(_ boot: BootID, nowMilliseconds: Int64) throws(JournalFileFailure) -> Action {
        let (path, aside) = ("\(self.root)/\(boot)", "\(self.root)/\(boot)\(Self.asideSuffix)")
        try self.undoHalfSwap(path, aside)
        guard JournalDirectory.exists(path) else { return .unknown }
        guard let directory = try JournalDirectory.adopt(root: self.root, boot: boot) else { return .lives }
        // The lock goes with the object, and must not go before we are done.
        defer { withExtendedLifetime(directory) {} }
        guard directory.recoveredAtMilliseconds() == nil else { return .isRecovered }
        let (segments, unreadable) = try JournalDirectory.openReadable(path)
        if unreadable.isEmpty, (try? RecoveredBoot(segments, of: boot)) != nil { return .isWhole }
        let original = InspectedJournal(
            path: aside, state: .ended, segments: segments.count,
            bytes: segments.reduce(0) { $0 + $1.capacity },
            contents: RecoveredBoot(salvaging: segments, of: boot), unreadable: unreadable)
        if JournalDirectory.exists(aside) { throw JournalFileFailure(.rename, aside, code: EEXIST) }
        // From here on both directories are ours: nobody recovers a name that is no boot.
        let unfinished = path + Self.unfinishedSuffix
        try JournalDirectory.deleteFiles(unfinished)
        var copy = try SalvageCopy(
            boot: boot, path: unfinished, segmentBytes: segments.map(\.capacity).max(), calls: self.calls,
            nowMilliseconds: nowMilliseconds)
        let copied = try copy.write(original.contents)
        try self.swap(path, aside, unfinished)
        return .salvaged(
            Salvaged(
                original: original, aside: aside, outcomes: copied.outcomes,
                unacknowledged: copied.unacknowledged, open: copied.open, unreadable: copied.unreadable))
    }

    private func swap(_ path: String, _ aside: String, _ unfinished: String) throws(JournalFileFailure) {
        for (from, to) in [(path, aside), (unfinished, path)] {
            guard rename(from, to) == 0 else { throw JournalFileFailure(.rename, from, code: errno) }
            try JournalDescriptor.synchronizeDirectory(self.root)
        }
    }

    /// A salvage that died between its two renames left no journal under the boot's name.
    private func undoHalfSwap(_ path: String, _ aside: String) throws(JournalFileFailure) {
        guard !JournalDirectory.exists(path), JournalDirectory.exists(aside) else { return }
        guard rename(aside, path) == 0 else { throw JournalFileFailure(.rename, aside, code: errno) }
        try JournalDescriptor.synchronizeDirectory(self.root)
    }
}

/// Writes the valid records of a journal again, as the same boot would have.
private struct SalvageCopy {
    private var journal: Journal<MappedSegment>
    private let path: String
    private let segmentBytes: Int
    private let calls: JournalCalls
    private var rested: UInt64 = 0
    private var open: Set<HoldID> = []
    /// In the new journal: the last outcome that was posted.
    private var postedThrough: UInt64 = 0
    private(set) var copied: (outcomes: Int, unacknowledged: Int, open: Int, unreadable: Int) = (0, 0, 0, 0)

    init(
        boot: BootID, path: String, segmentBytes: Int?, calls: JournalCalls, nowMilliseconds: Int64
    ) throws(JournalFileFailure) {
        try JournalDirectory.createUnlocked(path)
        self.journal = Journal(
            boot: boot, limits: .init(unreservedOutcomes: 1, acknowledgements: 1),
            nowMilliseconds: nowMilliseconds, steadyMilliseconds: 0)
        self.path = path
        self.segmentBytes = max(segmentBytes ?? 0, JournalFormat.segmentBytesMin)
        self.calls = calls
    }

    mutating func write(
        _ original: RecoveredBoot<MappedSegment>
    ) throws(JournalFileFailure) -> (outcomes: Int, unacknowledged: Int, open: Int, unreadable: Int) {
        try original.forEachEntry { entry throws(JournalFileFailure) in
            try self.makeRoom()
            self.take(entry, watermark: original.watermark)
        }
        try self.makeRoom()
        if self.postedThrough > 0 { self.journal.acknowledge(through: self.postedThrough) }
        try self.synchronize()
        self.journal.noteDurable()
        try self.synchronize()
        try JournalDescriptor.synchronizeDirectory(self.path)
        self.copied.open = self.open.count
        return self.copied
    }

    private mutating func take(_ entry: JournalEntry, watermark: UInt64) {
        switch entry.content {
        case .open(_, nil), .progress(_, nil), .outcome(_, nil, _): self.copied.unreadable += 1
        case .open(let hold, .some(let settlement)):
            // A sync error wrote it twice.
            guard !self.open.contains(hold) else { return }
            guard EncodedSettlement(settlement).isOpening, self.journal.reserve(),
                self.journal.open(settlement) != nil
            else { return self.copied.unreadable += 1 }
            self.open.insert(hold)
        case .progress(let hold, .some(let progress)): _ = self.journal.progress(hold, progress)
        case .outcome(let hold, .some(let settlement), let superseded):
            guard !superseded else { return }
            guard let sequence = self.journal.end(settlement, reserved: false) else {
                return self.copied.unreadable += 1
            }
            self.open.remove(hold)
            self.copied.outcomes += 1
            if entry.sequence <= watermark {
                self.postedThrough = sequence
            } else {
                self.copied.unacknowledged += 1
            }
        case .acknowledged, .abandoned, .durable: return
        }
    }

    private mutating func makeRoom() throws(JournalFileFailure) {
        guard self.journal.wantsSpare else { return }
        while self.journal.wantsSpare {
            self.journal.add(
                spare: try MappedSegment.create(
                    id: self.journal.nextSpareID, bytes: self.segmentBytes, in: self.path, calls: self.calls))
        }
        try self.synchronize()
    }

    private mutating func synchronize() throws(JournalFileFailure) {
        try self.journal.synchronize(in: self.path, self.calls)
        for segment in self.journal.finished(after: self.rested) {
            segment.rest()
            self.rested = segment.id
        }
    }
}

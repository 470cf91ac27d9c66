import Glibc
import Metering
import MoneyPath

/// Reads the journals of a host beside the processes that write them: takes no lock, changes nothing. Blocks.
public struct JournalInspector: Sendable {
    /// `JOURNAL_DIR`.
    public let root: String

    /// What is half written when it is read is whole when it is read again.
    private static let attempts = 4

    public init(root: String) { self.root = root }

    /// All boots, oldest first.
    /// - Throws: when the directory is not there, or not for us.
    public func boots() throws(JournalFileFailure) -> [BootID] { try JournalDirectory.boots(root: self.root) }

    /// Directories that a salvage put aside: nobody recovers them.
    public func setAside() throws(JournalFileFailure) -> [String] {
        try JournalDirectory.names(self.root).filter { $0.hasSuffix(JournalSalvage.asideSuffix) }.sorted()
            .map { "\(self.root)/\($0)" }
    }

    /// Everything that is valid in a boot's journal, and what is not.
    public func read(_ boot: BootID) throws(JournalFileFailure) -> InspectedJournal {
        var attempt = 1
        while true {
            let journal = try self.readOnce(boot)
            // The writer of a journal that lives is between two bytes now and then; real damage is still there
            // at the next look.
            if journal.isWhole || journal.state != .live || attempt == Self.attempts { return journal }
            attempt += 1
        }
    }

    private func readOnce(_ boot: BootID) throws(JournalFileFailure) -> InspectedJournal {
        let path = "\(self.root)/\(boot)"
        // The state first: what is read afterwards is at least as new.
        let state = try Self.state(path)
        let (segments, unreadable) = try JournalDirectory.openReadable(path)
        return InspectedJournal(
            path: path, state: state, segments: segments.count,
            bytes: segments.reduce(0) { $0 + $1.capacity },
            contents: RecoveredBoot(salvaging: segments, of: boot), unreadable: unreadable)
    }

    private static func state(_ path: String) throws(JournalFileFailure) -> InspectedJournal.State {
        // The mark first: who took a journal over keeps its lock for as long as it lives.
        if let recoveredAt = JournalDirectory.recoveredAtMilliseconds(path) {
            return .recovered(atMilliseconds: recoveredAt)
        }
        return try JournalDirectory.isLocked(path) ? .live : .ended
    }
}

/// The journal of one boot as it stood on disk at one moment.
public struct InspectedJournal: Sendable {
    public enum State: Sendable, Hashable {
        /// Somebody holds its lock: its process, or one that is just taking it over.
        case live
        /// Waits for the next process of this host.
        case ended
        /// Another journal has what was to be posted.
        case recovered(atMilliseconds: Int64)
    }

    public let path: String
    public let state: State
    /// Files, spares included, and what they take on disk.
    public let segments: Int
    public let bytes: Int
    /// Every valid record.
    public let contents: RecoveredBoot<MappedSegment>
    /// Segment files that cannot be opened at all.
    public let unreadable: [JournalFileFailure]
    /// What recovery refuses, outcomes that no release before this one can read included.
    public let damage: [JournalDamage]
    /// Outcomes that can be read; those that are acknowledged included.
    public let outcomes: Int
    /// Of those, the ones that this journal does not know to be posted.
    public let unacknowledged: Int

    init(
        path: String, state: State, segments: Int, bytes: Int, contents: RecoveredBoot<MappedSegment>,
        unreadable: [JournalFileFailure]
    ) {
        self.path = path
        self.state = state
        self.segments = segments
        self.bytes = bytes
        self.contents = contents
        self.unreadable = unreadable
        var (outcomes, waiting) = (0, 0)
        var reading = contents.retained()
        while case let page = reading.next(limit: 2_000), !page.isEmpty {
            outcomes += page.count
            waiting += page.count { $0.sequence > contents.watermark }
        }
        self.outcomes = outcomes
        if case .recovered = state { self.unacknowledged = 0 } else { self.unacknowledged = waiting }
        let unread = reading.firstUnreadable.map {
            JournalDamage.undecodable(segment: $0.segment, offset: $0.offset)
        }
        self.damage = contents.skipped + (unread.map { [$0] } ?? [])
    }

    public var boot: BootID { self.contents.boot }
    /// Recovery takes it (or took it) as it is.
    public var isWhole: Bool { self.damage.isEmpty && self.unreadable.isEmpty }
    /// Exchanges without an end.
    public var open: Int { self.contents.orphans.count }

    /// Where damage was seen, for people: file and byte.
    public func place(of damage: JournalDamage) -> String {
        "\(self.path)/\(MappedSegment.fileName(damage.segment)), offset \(damage.offset)"
    }

    public func place(of place: JournalPlace) -> String {
        "\(self.path)/\(MappedSegment.fileName(place.segment)), offset \(place.offset)"
    }
}

extension RecoveredBoot {
    /// As `.salvage` reads it, which refuses nothing.
    init(salvaging segments: [Segment], of boot: BootID) {
        do { self = try RecoveredBoot(segments, of: boot, mode: .salvage) } catch {
            preconditionFailure("a salvage goes past all damage; RecoveredBoot throws in strict mode only")
        }
    }
}

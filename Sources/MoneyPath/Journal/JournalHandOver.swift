import Metering

/// What an ended boot still has to put into another journal. Goes on where it stopped, so that a long journal fits
/// through a small one, and nothing is copied twice.
public struct JournalHandOver<Segment: JournalSegment> {
    public enum Action: Sendable, Hashable {
        /// So many outcomes are in the other journal; when that is on disk up to `through`, this boot needs no recovery.
        case copied(Int, through: UInt64)
        /// The other journal has no room for more after so many in all. Call `proceed` again when it has. Until then
        /// this journal is the only one that has the rest.
        case noRoom(after: Int)
    }

    private var reading: JournalReading<Segment>
    /// Read, and not copied yet.
    private var page: ArraySlice<Settlement> = []
    private var orphans: ArraySlice<Settlement>
    private var copied = 0
    private var through: UInt64 = 0
    private static var pageRows: Int { 1_000 }

    init(_ boot: RecoveredBoot<Segment>) {
        self.reading = boot.unacknowledged()
        self.orphans = boot.orphans[...]
    }

    /// Hands over as much as there is room for, in the order in which it was decided.
    ///
    /// - Parameter take: puts an outcome into the other journal and has it settled; returns its place there, nil: no
    ///   room, and it is asked to take the same outcome again.
    public mutating func proceed(_ take: (Settlement) -> UInt64?) -> Action {
        while let next = self.next() {
            guard let sequence = take(next) else { return .noRoom(after: self.copied) }
            self.page.removeFirst()
            (self.copied, self.through) = (self.copied + 1, sequence)
        }
        return .copied(self.copied, through: self.through)
    }

    private mutating func next() -> Settlement? {
        if self.page.isEmpty { self.page = self.reading.next(limit: Self.pageRows).map(\.settlement)[...] }
        if self.page.isEmpty { swap(&self.page, &self.orphans) }
        return self.page.first
    }
}

extension JournalHandOver: Sendable where Segment: Sendable {}

import Metering

/// Outcomes of the backlog as they were read.
public struct JournalPage: Sendable, Hashable {
    /// Each under the number that it was recorded with, in that order.
    public var outcomes: [JournaledOutcome] = []
    /// Numbers of outcomes that are not posted and cannot be read, in order.
    public var lost: [UInt64] = []

    public init(outcomes: [JournaledOutcome] = [], lost: [UInt64] = []) {
        (self.outcomes, self.lost) = (outcomes, lost)
    }
}

/// The next unacknowledged outcomes and where they stand. Made under the lock of the journal; `read` needs none.
public struct JournalBacklog<Segment: JournalSegment> {
    /// One record to be read.
    struct Wanted: Sendable {
        /// The number that it has where it stands.
        var sequence: UInt64
        /// Its place in the backlog.
        var index: Int
    }

    struct Source {
        var segment: Segment
        var seed: UInt32
        var firstSequence: UInt64
        var limit: Int
        var wanted: [Wanted] = []
    }

    var originals: [UInt64] = []
    var sources: [Source] = []

    /// Reads them all; may wait for the disk.
    public func read() -> JournalPage {
        var found = [Settlement?](repeating: nil, count: self.originals.count)
        for source in self.sources { source.read(into: &found) }
        var page = JournalPage()
        for (original, settlement) in zip(self.originals, found) {
            if let settlement {
                page.outcomes.append(JournaledOutcome(sequence: original, settlement: settlement))
            } else {
                page.lost.append(original)
            }
        }
        return page
    }
}

extension JournalBacklog.Source {
    func read(into found: inout [Settlement?]) {
        // Segments may have failed in another order than they were written in.
        var wanted = self.wanted.sorted { $0.sequence < $1.sequence }[...]
        var walker = RecordWalker(
            self.segment, seed: self.seed, limit: self.limit, firstSequence: self.firstSequence)
        while !wanted.isEmpty {
            switch walker.next() {
            case .end: return
            case .gap: continue
            case .record(let record):
                wanted = wanted.drop { $0.sequence < record.sequence }
                guard let next = wanted.first, next.sequence == record.sequence else { continue }
                found[next.index] = self.segment.withBytes(0..<self.limit) { record.settlement($0) }
                wanted.removeFirst()
            }
        }
    }
}

extension JournalBacklog.Source: Sendable where Segment: Sendable {}
extension JournalBacklog: Sendable where Segment: Sendable {}

extension Journal {
    /// The unacknowledged outcomes that were recorded with this number or a later one, at most `limit`: each once,
    /// in the order in which they were recorded, wherever they stand now.
    public func backlog(from sequence: UInt64, limit: Int) -> JournalBacklog<Segment> {
        precondition(limit > 0, "a caller that wants none does not ask")
        var backlog = JournalBacklog<Segment>()
        for held in self.segments[self.firstMarkedIndex...] where held.lastSequence >= sequence {
            var next = held.outcomes.first(from: sequence)
            while let original = next {
                if backlog.originals.count == limit { return backlog }
                self.add(original, of: held, to: &backlog)
                next = held.outcomes.first(from: original + 1)
            }
        }
        return backlog
    }

    private func add(_ original: UInt64, of home: HeldSegment, to backlog: inout JournalBacklog<Segment>) {
        let index = backlog.originals.count
        backlog.originals.append(original)
        var place = (segment: home.id, sequence: original)
        if home.state == .rewritten {
            // Without a copy it could not be read when its segment failed: it stays unread.
            guard let copy = self.copy(of: original, home: home.id) else { return }
            place = copy
        }
        let wanted = JournalBacklog<Segment>.Wanted(sequence: place.sequence, index: index)
        if let source = backlog.sources.lastIndex(where: { $0.segment.id == place.segment }) {
            return backlog.sources[source].wanted.append(wanted)
        }
        let at = self.index(of: place.segment)
        let held = self.segments[at]
        backlog.sources.append(
            .init(
                segment: self.files[at], seed: held.seed, firstSequence: held.firstSequence, limit: held.used,
                wanted: [wanted]))
    }

    private func copy(of original: UInt64, home: UInt64) -> (segment: UInt64, sequence: UInt64)? {
        for copies in self.copies where copies.home == home {
            if let copy = copies.copy(of: original) { return (copies.at, copy) }
        }
        return nil
    }
}

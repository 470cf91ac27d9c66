import Metering

/// A record of a journal, for those who look into it or repair it.
public struct JournalEntry: Sendable, Hashable {
    public enum Content: Sendable, Hashable {
        /// Its settlement is nil when this release cannot read it.
        case open(HoldID, Settlement?)
        /// nil: amounts that no exchange has.
        case progress(HoldID, JournalProgress?)
        /// - superseded: it stands again in a later segment, after a sync error.
        case outcome(HoldID, Settlement?, superseded: Bool)
        /// Every outcome up to this sequence is posted.
        case acknowledged(UInt64)
        case abandoned(segment: UInt64)
        /// Every record up to this sequence is on disk.
        case durable(UInt64)
    }

    public var sequence: UInt64
    public var place: JournalPlace
    public var content: Content
}

extension RecoveredBoot {
    /// All valid records in their order, or those of one hold.
    public func forEachEntry<Failure>(
        of hold: HoldID? = nil, _ body: (JournalEntry) throws(Failure) -> Void
    ) throws(Failure) {
        for part in self.parts {
            var walker = RecordWalker(
                part.segment, seed: part.seed, limit: part.limit, firstSequence: part.firstSequence,
                orLater: part.orLater)
            walk: while true {
                switch walker.next() {
                case .record(let record):
                    guard let content = part.content(of: record, only: hold) else { continue walk }
                    let place = JournalPlace(segment: part.segment.id, offset: record.offset)
                    try body(JournalEntry(sequence: record.sequence, place: place, content: content))
                case .gap: continue walk
                case .end: break walk
                }
            }
        }
    }
}

extension JournalReading.Part {
    /// nil: not of this hold.
    fileprivate func content(of record: JournalRecord, only wanted: HoldID?) -> JournalEntry.Content? {
        self.segment.withBytes(0..<self.limit) { bytes in
            switch record.type {
            case .open, .progress, .outcome:
                let hold = record.hold(bytes)
                if let wanted, wanted != hold { return nil }
                if record.type == .progress { return .progress(hold, record.progress(bytes)) }
                let settlement = record.settlement(bytes)
                if record.type == .open { return .open(hold, settlement) }
                return .outcome(
                    hold, settlement, superseded: record.sequence > self.supersededAbove ?? .max)
            case .acknowledgement: return wanted == nil ? .acknowledged(record.word(0, bytes)) : nil
            case .abandonment: return wanted == nil ? .abandoned(segment: record.word(0, bytes)) : nil
            case .durable: return wanted == nil ? .durable(record.word(0, bytes)) : nil
            }
        }
    }
}

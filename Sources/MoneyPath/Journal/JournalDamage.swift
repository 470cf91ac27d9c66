/// Why a journal is not recovered. Everything but a torn tail, and holes behind the last DURABLE, is refused: going on
/// would lose what stands behind the damage (C9). `tollgate journal salvage` takes what is valid and says what was skipped.
public enum JournalDamage: Error, Sendable, Hashable {
    /// The segment files have ids with gaps; this one is missing.
    case missingSegment(UInt64)
    /// The head of a segment that was in use cannot be read.
    case header(segment: UInt64)
    /// Something invalid stands here, and valid records follow it.
    case record(segment: UInt64, offset: Int)
    /// Records are missing between this place and the next segment.
    case lostEnd(segment: UInt64, offset: Int)
    /// A valid record that this release does not understand, or amounts that no exchange has.
    case undecodable(segment: UInt64, offset: Int)

    public var segment: UInt64 {
        switch self {
        case .missingSegment(let segment), .header(let segment): segment
        case .record(let segment, _), .lostEnd(let segment, _), .undecodable(let segment, _): segment
        }
    }

    /// Byte of the segment at which it was seen.
    public var offset: Int {
        switch self {
        case .missingSegment, .header: 0
        case .record(_, let offset), .lostEnd(_, let offset), .undecodable(_, let offset): offset
        }
    }
}

extension JournalDamage: CustomStringConvertible {
    /// Of a segment: "has a damaged head".
    public var finding: String {
        switch self {
        case .missingSegment: "is missing"
        case .header: "has a damaged head"
        case .record: "has a damaged record with valid ones behind it"
        case .lostEnd: "has lost its last records"
        case .undecodable: "has a record that cannot be understood"
        }
    }

    public var description: String {
        "journal segment \(self.segment) \(self.finding) (offset \(self.offset)); run journal salvage"
    }
}

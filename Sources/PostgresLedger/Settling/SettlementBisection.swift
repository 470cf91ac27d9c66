/// Finds the rows that the ledger refuses: a refused batch is halved until single rows are left, and
/// everything else is posted. A value; the runner sends what `next` says and reports back.
struct SettlementBisection {
    enum Step: Equatable {
        /// Send these rows as one statement, then call `posted` or `refused`.
        case post(Range<Int>)
        /// This row alone was refused: put it into quarantine, then ask again.
        case quarantine(row: Int)
        case done
    }

    /// Ranges that were not sent yet; the last one is next, and the lower half of a range comes first.
    private var pending: [Range<Int>]
    private var sent: Range<Int>?
    private var poison: Int?

    init(rows: Int) { self.pending = rows > 0 ? [0..<rows] : [] }

    mutating func next() -> Step {
        precondition(self.sent == nil, "posted() or refused() answers each .post")
        if let row = self.poison {
            self.poison = nil
            return .quarantine(row: row)
        }
        guard let range = self.pending.popLast() else { return .done }
        self.sent = range
        return .post(range)
    }

    mutating func posted() {
        precondition(self.sent != nil, "posted() follows .post")
        self.sent = nil
    }

    mutating func refused() {
        guard let range = self.sent else { preconditionFailure("refused() follows .post") }
        self.sent = nil
        guard range.count > 1 else {
            self.poison = range.lowerBound
            return
        }
        let middle = range.lowerBound + range.count / 2
        self.pending.append(middle..<range.upperBound)
        self.pending.append(range.lowerBound..<middle)
    }
}

/// Which records of a segment are unacknowledged outcomes: one bit per record, so a backlog of any length costs
/// next to no memory (0.3 % of the disk it takes).
struct OutcomeMarks {
    private var words: [UInt64] = []
    /// Words before this one are 0.
    private var low = 0
    private let first: UInt64
    /// Sequence of the last outcome ever marked; 0: none.
    private(set) var last: UInt64 = 0
    private(set) var count = 0

    /// - Parameters:
    ///   - first: sequence of the segment's first record.
    ///   - room: records to make room for, so that marking does not allocate.
    init(first: UInt64, room: Int) {
        self.first = first
        self.words.reserveCapacity(room / 64 + 1)
    }

    mutating func mark(_ sequence: UInt64) {
        let bit = Int(sequence - self.first)
        while self.words.count <= bit / 64 { self.words.append(0) }
        self.words[bit / 64] |= 1 << UInt64(bit % 64)
        self.last = sequence
        self.count += 1
    }

    /// Unmarks everything up to `sequence` and returns how many marks that were.
    mutating func remove(through sequence: UInt64) -> Int {
        guard self.count > 0, sequence >= self.first else { return 0 }
        let bits = Int(min(sequence, self.last) - self.first) + 1
        var removed = 0
        while self.low < bits / 64 {
            removed += self.words[self.low].nonzeroBitCount
            self.words[self.low] = 0
            self.low += 1
        }
        if bits % 64 != 0 {
            let mask: UInt64 = (1 << UInt64(bits % 64)) - 1
            removed += (self.words[bits / 64] & mask).nonzeroBitCount
            self.words[bits / 64] &= ~mask
        }
        self.count -= removed
        return removed
    }

    /// The first mark; nil: none.
    var firstMarked: UInt64? { self.first(from: self.first) }

    /// The first mark at or behind `sequence`; nil: none.
    func first(from sequence: UInt64) -> UInt64? {
        guard self.count > 0, sequence <= self.last else { return nil }
        let bit = sequence > self.first ? Int(sequence - self.first) : 0
        var word = max(self.low, bit / 64)
        var rest = self.words[word]
        if word == bit / 64 { rest &= .max << UInt64(bit % 64) }
        while rest == 0 {
            word += 1
            guard word < self.words.count else { return nil }
            rest = self.words[word]
        }
        return self.first + UInt64(64 * word + rest.trailingZeroBitCount)
    }

    func contains(_ sequence: UInt64) -> Bool { self.first(from: sequence) == sequence }

    /// Gives the memory back when nothing will be marked any more and nothing is.
    mutating func releaseIfEmpty() {
        if self.count == 0 { self.words = [] }
    }
}

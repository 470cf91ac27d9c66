/// Where unacknowledged outcomes of a segment stand again, because the sync of that segment failed. Who recorded
/// them knows their old numbers only.
///
/// Costs 16 bytes per outcome, until all of them are acknowledged.
struct OutcomeCopies: Sendable {
    struct Pair: Sendable {
        var original: UInt64
        var copy: UInt64
    }

    /// The segment that they were recorded in.
    let home: UInt64
    /// The segment in which all of these copies stand.
    let at: UInt64
    /// Not empty; both numbers ascend.
    private(set) var pairs: [Pair]

    init(home: UInt64, at: UInt64, first: Pair) {
        (self.home, self.at, self.pairs) = (home, at, [first])
    }

    mutating func append(_ pair: Pair) {
        precondition(
            self.lastOriginal < pair.original && self.lastCopy < pair.copy,
            "records are copied in their order")
        self.pairs.append(pair)
    }

    var lastOriginal: UInt64 { self.pairs[self.pairs.count - 1].original }
    var lastCopy: UInt64 { self.pairs[self.pairs.count - 1].copy }

    /// Where this outcome stands now; nil: not here.
    func copy(of original: UInt64) -> UInt64? {
        let found = self.firstPair { $0.original >= original }
        return found?.original == original ? found?.copy : nil
    }

    /// The outcome whose copy has this number; nil: not here.
    func original(of copy: UInt64) -> UInt64? {
        let found = self.firstPair { $0.copy >= copy }
        return found?.copy == copy ? found?.original : nil
    }

    /// The lowest copy of an outcome at or behind `original`.
    func firstCopy(from original: UInt64) -> UInt64? { self.firstPair { $0.original >= original }?.copy }

    /// The first that `isReached`, which holds for all behind it as well.
    private func firstPair(where isReached: (Pair) -> Bool) -> Pair? {
        var (low, high) = (0, self.pairs.count)
        while low < high {
            let middle = (low + high) / 2
            if isReached(self.pairs[middle]) { high = middle } else { low = middle + 1 }
        }
        return low < self.pairs.count ? self.pairs[low] : nil
    }
}

extension [Double] {
    /// The mean of the two in the middle where the count is even; nil of nothing.
    var median: Double? {
        guard !self.isEmpty else { return nil }
        let ordered = self.sorted()
        let middle = ordered.count / 2
        return ordered.count.isMultiple(of: 2) ? (ordered[middle - 1] + ordered[middle]) / 2 : ordered[middle]
    }
}

extension LaneComparison.Spread {
    /// nil of nothing.
    init?(of values: [Double]) {
        guard let median = values.median, let low = values.min(), let high = values.max() else { return nil }
        self.init(median: median, low: low, high: high)
    }
}

import Metering

extension AdmissionPlan {
    /// What limits of tokens count at admission: the bound of the input and the output cap; the end of the hold counts what
    /// came.
    ///
    /// Without a cap the model could write its most, and many such requests at once would pass any limit; but one that
    /// counted for that would be refused under most limits, though it may need little. So it counts for a quarter of the
    /// bucket, if the model can write that much, and never so much that the bucket could not hold it: four of them fill a
    /// bucket until they end.
    ///
    /// - Parameters:
    ///   - outputCap: what the client set, per choice.
    ///   - bucket: the smaller of the limits of tokens per minute; nil: there is none.
    func limitTokens(outputCap: Int64?, leastOutputTokens: Int64, bucket: Int64?) -> Int64 {
        let most = Self.product(self.price.outputMax(self.bounds), self.bounds.choices)
        guard let input = self.price.inputMax(self.bounds) else { return .max }
        let output: Int64
        if let outputCap {
            output = Self.product(outputCap, self.bounds.choices)
        } else {
            let least = Self.product(leastOutputTokens, self.bounds.choices)
            let share = bucket.map { min($0 / 4, max(0, $0 - input)) } ?? 0
            output = max(least, share)
        }
        let (sum, overflow) = input.addingReportingOverflow(min(output, most))
        return overflow ? .max : max(0, sum)
    }

    /// Stops at the largest number.
    static func product(_ one: Int64, _ other: Int64) -> Int64 {
        let (product, overflow) = one.multipliedReportingOverflow(by: other)
        return overflow ? .max : product
    }
}

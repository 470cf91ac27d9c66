import Metering

extension AdmissionPlan {
    /// What limits of tokens count at admission: the bound of the input and the output cap. Without a cap only the
    /// output that is of use at all; the end of the hold counts what came.
    ///
    /// - Parameter outputCap: what the client set, per choice.
    func limitTokens(outputCap: Int64?, leastOutputTokens: Int64) -> Int64 {
        let output = min(outputCap ?? leastOutputTokens, self.price.outputMax)
        let (all, tooMany) = output.multipliedReportingOverflow(by: self.bounds.choices)
        guard let input = self.price.inputMax(self.bounds), !tooMany else { return .max }
        let (sum, overflow) = input.addingReportingOverflow(all)
        return overflow ? .max : max(0, sum)
    }
}

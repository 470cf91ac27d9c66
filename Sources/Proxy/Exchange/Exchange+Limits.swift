import Metering

/// What limits of requests, tokens and streams are to PLACE.
extension Exchange {
    /// A service key has its limits for each account that it names.
    func limits(of account: AccountRecord, _ plan: AdmissionPlan) -> PlaceLimits {
        guard let key = self.key else { preconditionFailure("authenticated() comes before any account") }
        let configuration = self.loop.configuration
        return PlaceLimits(
            keyID: key.keyID, key: configuration.keyLimits.overridden(by: key.limits),
            account: configuration.accountLimits.overridden(by: account.limits),
            tokens: self.limitTokens(plan))
    }

    func limitTokens(_ plan: AdmissionPlan) -> Int64 {
        plan.limitTokens(
            outputCap: self.inspected?.outputCap,
            leastOutputTokens: self.loop.configuration.limits.leastOutputTokens)
    }
}

import Metering

/// What limits of requests, tokens and streams are to PLACE.
extension Exchange {
    /// A service key has its limits for each account that it names.
    func limits(of account: AccountRecord, _ plan: AdmissionPlan) -> PlaceLimits {
        guard let key = self.key else { preconditionFailure("authenticated() comes before any account") }
        // Read in its place: a constant of it would be a copy of all of it.
        let ofKey = self.loop.configuration.keyLimits.overridden(by: key.limits)
        let ofAccount = self.loop.configuration.accountLimits.overridden(by: account.limits)
        let bucket = [ofKey.tokensPerMinute, ofAccount.tokensPerMinute].compactMap { $0 }.min()
        return PlaceLimits(
            keyID: key.keyID, key: ofKey, account: ofAccount,
            tokens: plan.limitTokens(
                outputCap: plan.request.outputCap,
                leastOutputTokens: self.loop.configuration.limits.leastOutputTokens, bucket: bucket))
    }
}

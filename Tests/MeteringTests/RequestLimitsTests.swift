import Testing

@testable import Metering

@Suite struct RequestLimitsTests {
    /// nil = as configured, 0 = no limit: a key can be freed of a limit that all others have.
    @Test func anOverrideStandsInPlaceOfTheConfiguredLimit() {
        let usual = RequestLimits(requestsPerMinute: 60, tokensPerMinute: 1000, streams: nil)
        #expect(usual.overridden(by: .none) == usual)
        let own = RequestLimitOverrides(requestsPerMinute: 0, tokensPerMinute: 5, streams: 2)
        #expect(usual.overridden(by: own) == RequestLimits(tokensPerMinute: 5, streams: 2))
    }

    /// Half a request is no request, and a bucket is free when its last part has drained.
    @Test func whatRemainsIsRoundedDownAndTheResetUp() {
        let level = LimitLevel(limit: 7, used: 2 * LimitLevel.unit + 1)
        #expect(level.remaining == 4)
        #expect(level.resetMilliseconds == 17_143)
        #expect(LimitLevel(limit: 7, used: 0).resetMilliseconds == 0)
        // More than the limit: the replies were longer than was counted.
        #expect(LimitLevel(limit: 7, used: 8 * LimitLevel.unit).remaining == 0)
    }
}

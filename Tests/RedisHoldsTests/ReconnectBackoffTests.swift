import NIOCore
import Testing

@testable import RedisHolds

@Suite struct ReconnectBackoffTests {
    @Test func pausesDoubleUpToASecondAndNeverVanish() {
        var backoff = ReconnectBackoff()
        let longest = (0..<12).map { _ in backoff.next(jitter: 0.999_999).nanoseconds / 1_000_000 }
        #expect(longest == [19, 39, 79, 159, 319, 639, 999, 999, 999, 999, 999, 999])
        backoff.reset()
        #expect(backoff.next(jitter: 0) == .milliseconds(10))
    }
}

import Testing

@testable import StripeAPI

@Suite struct CallAttemptsTests {
    private func action(
        _ ending: CallAttempts.Ending, policy: RetryPolicy = RetryPolicy(), deadline: Duration = .seconds(60)
    ) -> CallAttempts.Action {
        var attempts = CallAttempts(policy, deadline: deadline)
        return attempts.after(ending, now: .zero) { $0 }
    }

    private static let again = CallAttempts.Action.tryAgain(after: .milliseconds(500))

    @Test(
        arguments: [
            (200, nil, false), (201, nil, false), (302, nil, false), (400, nil, false), (401, nil, false),
            (402, nil, false), (404, nil, false), (409, nil, true), (429, nil, true), (500, nil, true),
            (503, nil, true),
            // What Stripe says of its own reply beats the status, but for a success.
            (500, false, false), (409, false, false), (429, false, false), (400, true, true),
            (402, true, true),
            (200, true, false),
        ] as [(Int, Bool?, Bool)])
    func statusesThatAreTriedAgain(_ status: Int, _ shouldRetry: Bool?, _ isTriedAgain: Bool) {
        let action = self.action(.reply(status: status, shouldRetry: shouldRetry, retryAfter: nil))
        #expect(action == (isTriedAgain ? Self.again : .settle))
    }

    @Test(
        arguments: [
            (.resolve, true), (.connect, true), (.tls(.handshake), true), (.timedOut(sent: true), true),
            (.timedOut(sent: false), true), (.broken(sent: true), true),
            (.tls(.certificate), false), (.tls(.authorities), false), (.queueFull, false),
            (.malformedRequest, false),
            (.replyTooLarge, false), (.cancelled(sent: true), false), (.shutDown(sent: false), false),
        ] as [(OutboundFailure, Bool)])
    func failuresThatAreTriedAgain(_ failure: OutboundFailure, _ isTriedAgain: Bool) {
        #expect(self.action(.failure(failure)) == (isTriedAgain ? Self.again : .settle))
    }

    /// Full jitter: any pause up to a bound that doubles.
    @Test func thePauseIsBelowABoundThatDoubles() {
        var policy = RetryPolicy()
        policy.attemptsMax = 8
        var attempts = CallAttempts(policy, deadline: .seconds(600))
        var bounds: [Int64] = []
        for _ in 0..<7 {
            let action = attempts.after(.failure(.connect), now: .zero) { bound in
                bounds.append(bound)
                return bound / 3
            }
            #expect(action == .tryAgain(after: .milliseconds(bounds.last.map { $0 / 3 } ?? -1)))
        }
        #expect(bounds == [500, 1000, 2000, 4000, 8000, 8000, 8000])
    }

    @Test func theLastAttemptStands() {
        var policy = RetryPolicy()
        policy.attemptsMax = 2
        var attempts = CallAttempts(policy, deadline: .seconds(60))
        #expect(attempts.after(.failure(.connect), now: .zero) { $0 } == Self.again)
        #expect(attempts.after(.failure(.connect), now: .zero) { $0 } == .settle)
    }

    /// Stripe knows when it will be less busy.
    @Test func aLongerRetryAfterIsHonoured() {
        let busy = CallAttempts.Ending.reply(status: 429, shouldRetry: nil, retryAfter: .seconds(20))
        #expect(self.action(busy) == .tryAgain(after: .seconds(20)))
        let soon = CallAttempts.Ending.reply(status: 429, shouldRetry: nil, retryAfter: .zero)
        #expect(self.action(soon) == Self.again)
    }

    /// Waiting for a moment after the deadline is waiting for nothing.
    @Test func noPauseEndsAfterTheDeadline() {
        let busy = CallAttempts.Ending.reply(status: 429, shouldRetry: nil, retryAfter: .seconds(60))
        #expect(self.action(busy) == .settle)
        #expect(self.action(.failure(.connect), deadline: .milliseconds(500)) == .settle)
        #expect(self.action(.failure(.connect), deadline: .milliseconds(501)) == Self.again)
    }

    @Test func anAttemptHasWhatIsLeftOfTheDeadline() {
        let attempts = CallAttempts(RetryPolicy(), deadline: .seconds(60))
        #expect(attempts.timeout(now: .zero) == .seconds(30))
        #expect(attempts.timeout(now: .seconds(45)) == .seconds(15))
        #expect(attempts.timeout(now: .seconds(60)) == nil)
    }

    @Test(
        arguments: [
            (.failure(.timedOut(sent: true)), true), (.failure(.broken(sent: true)), true),
            (.failure(.replyTooLarge), true), (.failure(.timedOut(sent: false)), false),
            (.failure(.connect), false),
            (.reply(status: 500, shouldRetry: nil, retryAfter: nil), true),
            (.reply(status: 409, shouldRetry: nil, retryAfter: nil), true),
            (.reply(status: 429, shouldRetry: nil, retryAfter: nil), false),
            (.reply(status: 402, shouldRetry: nil, retryAfter: nil), false),
        ] as [(CallAttempts.Ending, Bool)])
    func outcomesThatNobodyKnows(_ ending: CallAttempts.Ending, _ isUnknown: Bool) {
        var attempts = CallAttempts(RetryPolicy(), deadline: .seconds(60))
        _ = attempts.after(ending, now: .zero) { $0 }
        #expect(attempts.isOutcomeUnknown == isUnknown)
        // Once unknown, a later connection that is refused makes it no better known.
        _ = attempts.after(.failure(.connect), now: .zero) { $0 }
        #expect(attempts.isOutcomeUnknown == isUnknown)
    }
}

/// How often and for how long one call is tried.
public struct RetryPolicy: Sendable, Hashable {
    public var attemptsMax = 4
    /// The n-th pause is between 0 and `pauseBase` × 2ⁿ⁻¹, never more than `pauseMax` unless Stripe asks for
    /// more.
    public var pauseBase = Duration.milliseconds(500)
    public var pauseMax = Duration.seconds(8)
    /// Of one attempt.
    public var attemptTimeout = Duration.seconds(30)
    /// Of a whole operation, all its calls, attempts and pauses together.
    public var deadline = Duration.seconds(60)

    public init() {}
}

/// Decides after each attempt of one call whether there is another one, and when. Pure: time and chance are
/// given.
struct CallAttempts {
    private let policy: RetryPolicy
    private let deadline: Duration
    private var made = 0
    /// An attempt has ended of which nobody knows what Stripe did.
    private(set) var isOutcomeUnknown = false

    enum Ending: Equatable {
        /// - retryAfter: what the reply asks for.
        /// - shouldRetry: of the header `Stripe-Should-Retry`, which knows better than the status.
        case reply(status: Int, shouldRetry: Bool?, retryAfter: Duration?)
        case failure(OutboundFailure)
    }

    enum Action: Equatable {
        case settle
        case tryAgain(after: Duration)
    }

    /// - Parameter deadline: on the clock that `now` is read from.
    init(_ policy: RetryPolicy, deadline: Duration) {
        self.policy = policy
        self.deadline = deadline
    }

    /// How long the next attempt may take; nil when there is no time left for one.
    func timeout(now: Duration) -> Duration? {
        let left = self.deadline - now
        return left > .zero ? min(left, self.policy.attemptTimeout) : nil
    }

    /// - Parameter random: a whole number from 0 to and including its argument.
    mutating func after(_ ending: Ending, now: Duration, random: (Int64) -> Int64) -> Action {
        self.made += 1
        if Self.leavesOutcomeUnknown(ending) { self.isOutcomeUnknown = true }
        guard Self.isWorthAnother(ending), self.made < self.policy.attemptsMax else { return .settle }
        // Full jitter: callers that failed together do not come back together.
        let doubled = self.policy.pauseBase * (1 << min(self.made - 1, 16))
        var pause = Duration.milliseconds(random(min(doubled, self.policy.pauseMax).milliseconds))
        if case .reply(_, _, let retryAfter?) = ending { pause = max(pause, retryAfter) }
        // A pause that ends after the deadline only makes the caller wait for the same failure.
        return now + pause < self.deadline ? .tryAgain(after: pause) : .settle
    }

    private static func isWorthAnother(_ ending: Ending) -> Bool {
        switch ending {
        case .reply(200..<300, _, _): false
        case .reply(_, let shouldRetry?, _): shouldRetry
        case .reply(let status, nil, _): status == 409 || status == 429 || status >= 500
        case .failure(let failure):
            switch failure {
            case .resolve, .connect, .tls(.handshake), .timedOut, .broken: true
            case .queueFull, .malformedRequest, .tls(.certificate), .tls(.authorities), .replyTooLarge,
                .cancelled,
                .shutDown:
                false
            }
        }
    }

    private static func leavesOutcomeUnknown(_ ending: Ending) -> Bool {
        switch ending {
        case .reply(let status, _, _): status == 409 || status >= 500
        case .failure(let failure): failure.mayHaveBeenSent
        }
    }
}

extension Duration {
    fileprivate var milliseconds: Int64 {
        let (seconds, attoseconds) = self.components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}

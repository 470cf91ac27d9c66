import Logging

/// Stripe's API for one account. Has no state of its own: copies share the connections of their
/// `OutboundHTTP`.
public struct StripeClient: Sendable {
    public static let defaultBase = "https://api.stripe.com"

    private let http: OutboundHTTP
    private let base: OutboundBase
    private let key: StripeKey
    private let policy: RetryPolicy
    private let pacing: Pacing
    private let userAgent: String
    private let logger: Logger

    public init(
        http: OutboundHTTP, base: OutboundBase, key: StripeKey, policy: RetryPolicy = RetryPolicy(),
        pacing: Pacing = .system, userAgent: String = "Tollgate/1", logger: Logger
    ) {
        self.http = http
        self.base = base
        self.key = key
        self.policy = policy
        self.pacing = pacing
        self.userAgent = userAgent
        self.logger = logger
    }

    /// What `livemode` must be in whatever reaches us.
    public var isLive: Bool { self.key.isLive }

    /// - Parameter deadline: for the whole operation; nil is the policy's.
    public func run<Operation: StripeOperation>(
        _ operation: Operation, within deadline: Duration? = nil
    ) async throws(StripeFailure) -> Operation.Output {
        let end = self.pacing.now() + (deadline ?? self.policy.deadline)
        var operation = operation
        var reply: StripeReply?
        while true {
            switch try operation.step(after: reply) {
            case .ask(let request): reply = try await self.call(request, until: end)
            case .done(let output): return output
            }
        }
    }

    /// The same for a caller that owns the thread it blocks: never on an event loop, never in a task.
    public func runAndWait<Operation: StripeOperation>(
        _ operation: Operation, within deadline: Duration? = nil
    ) throws(StripeFailure) -> Operation.Output {
        let end = self.pacing.now() + (deadline ?? self.policy.deadline)
        var operation = operation
        var reply: StripeReply?
        while true {
            switch try operation.step(after: reply) {
            case .ask(let request): reply = try self.callAndWait(request, until: end)
            case .done(let output): return output
            }
        }
    }

    private func call(_ request: StripeRequest, until end: Duration) async throws(StripeFailure)
        -> StripeReply
    {
        var attempts = CallAttempts(self.policy, deadline: end)
        while true {
            let attempt = try self.prepare(request, attempts)
            let result: OutboundResult
            do throws(OutboundFailure) { result = .success(try await self.http.send(attempt)) } catch {
                result = .failure(error)
            }
            guard let pause = self.pause(after: result, &attempts) else {
                return try self.settle(request, result, attempts)
            }
            await self.pacing.pause(pause)
        }
    }

    private func callAndWait(_ request: StripeRequest, until end: Duration) throws(StripeFailure)
        -> StripeReply
    {
        var attempts = CallAttempts(self.policy, deadline: end)
        while true {
            let attempt = try self.prepare(request, attempts)
            let result: OutboundResult
            do throws(OutboundFailure) { result = .success(try self.http.sendAndWait(attempt)) } catch {
                result = .failure(error)
            }
            guard let pause = self.pause(after: result, &attempts) else {
                return try self.settle(request, result, attempts)
            }
            self.pacing.pauseThread(pause)
        }
    }

    private func prepare(
        _ request: StripeRequest, _ attempts: CallAttempts
    ) throws(StripeFailure) -> OutboundRequest {
        guard request.isWellFormed else { throw StripeFailure(.malformedRequest) }
        guard let timeout = attempts.timeout(now: self.pacing.now()) else {
            throw StripeFailure(.outOfTime, mayHaveBeenApplied: request.isPost && attempts.isOutcomeUnknown)
        }
        return request.http(self.base, key: self.key, userAgent: self.userAgent, timeout: timeout)
    }

    /// nil: the result stands.
    private func pause(after result: OutboundResult, _ attempts: inout CallAttempts) -> Duration? {
        let ending = CallAttempts.Ending(result)
        switch attempts.after(ending, now: self.pacing.now(), random: self.pacing.random) {
        case .settle: return nil
        case .tryAgain(let pause):
            self.logger.notice(
                "a call to Stripe failed and is tried again",
                metadata: ["reason": "\(ending.label)", "request-id": "\(result.requestID ?? "none")"])
            return pause
        }
    }

    private func settle(
        _ request: StripeRequest, _ result: OutboundResult, _ attempts: CallAttempts
    ) throws(StripeFailure) -> StripeReply {
        let isUnknown = request.isPost && attempts.isOutcomeUnknown
        switch result {
        case .failure(let failure):
            throw StripeFailure(.unreachable(failure), mayHaveBeenApplied: isUnknown)
        case .success(let reply) where (200..<300).contains(reply.status):
            return StripeReply(
                body: reply.body, requestID: result.requestID, isLive: self.key.isLive,
                isToPost: request.isPost)
        case .success(let reply):
            let kind = StripeErrorReply.kind(status: reply.status, body: reply.body)
            // Stripe's refusal of these parameters under this key is the outcome of the earlier attempts too; unless it says
            // that the key belongs to other parameters, which it may have done, or is not Stripe's at all.
            let isOther = kind == .idempotencyMismatch || kind == .unreadableReply
            let isRefused = [400, 402, 404].contains(reply.status) && !isOther
            throw StripeFailure(
                kind, requestID: result.requestID,
                mayHaveBeenApplied: request.isPost && isOther || isUnknown && !isRefused)
        }
    }
}

extension CallAttempts.Ending {
    init(_ result: OutboundResult) {
        switch result {
        case .failure(let failure): self = .failure(failure)
        case .success(let reply):
            let shouldRetry: Bool? =
                switch reply.header("stripe-should-retry") {
                case "true": true
                case "false": false
                default: nil
                }
            let seconds = reply.header("retry-after").flatMap { UInt32($0) }
            self = .reply(
                status: reply.status, shouldRetry: shouldRetry,
                retryAfter: seconds.map { .seconds(Int64($0)) })
        }
    }

    fileprivate var label: String {
        switch self {
        case .reply(let status, _, _): "status \(status)"
        case .failure(let failure): failure.label
        }
    }
}

extension OutboundResult {
    fileprivate var requestID: String? {
        guard case .success(let reply) = self else { return nil }
        return reply.header("request-id").map(StripeErrorReply.word)
    }
}

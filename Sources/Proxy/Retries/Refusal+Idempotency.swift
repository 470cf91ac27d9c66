import Metering

extension Refusal {
    static let badIdempotencyKey = Refusal(
        .invalidRequest, "'Idempotency-Key' must be 1 to 255 visible ASCII characters.",
        param: "Idempotency-Key")

    static func idempotency(_ why: IdempotentRun.Refusal) -> Refusal {
        switch why {
        case .inProgress:
            return Refusal(
                .idempotencyInProgress,
                "A request with this 'Idempotency-Key' is still running; its reply can be had when it has ended.",
                param: "Idempotency-Key", retryAfterSeconds: 1)
        case .otherRequest:
            var refusal = Refusal(
                .idempotencyConflict,
                "This 'Idempotency-Key' was used with another request; use a new key for a new request.",
                param: "Idempotency-Key")
            refusal.mustNotRetry = true
            return refusal
        case .notKept:
            var refusal = Refusal(
                .idempotentReplyNotKept,
                "The request with this 'Idempotency-Key' was answered and charged, and its reply is not kept.",
                param: "Idempotency-Key")
            refusal.mustNotRetry = true
            return refusal
        case .unavailable:
            return Refusal(
                .holdsUnavailable, "The 'Idempotency-Key' cannot be checked right now; try again.",
                param: "Idempotency-Key", retryAfterSeconds: 1)
        }
    }
}

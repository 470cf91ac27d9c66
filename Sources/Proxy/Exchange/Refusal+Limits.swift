import Metering

extension Refusal {
    /// Which limit, and when the request fits; a request that never will is not to be sent again.
    static func limited(_ refusal: LimitRefusal, tokens: Int64) -> Refusal {
        let holder = refusal.limit.scope == .key ? "this API key" : "this account"
        let limit = "\(refusal.value) \(refusal.limit.kind.text) of \(holder)"
        let counted = refusal.limit.kind == .tokens ? " and this request counts \(tokens)" : ""
        var answer: Refusal
        if let wait = refusal.fitsInMilliseconds {
            answer = Refusal(
                .rateLimited,
                "Rate limit reached: the limit is \(limit)\(counted). Try again in \(GoDuration.text(wait)).",
                retryAfterSeconds: Int(max(1, (wait + 999) / 1000)))
        } else {
            answer = Refusal(
                .rateLimited,
                "Request too large: the limit is \(limit)\(counted), so it never fits. Make the request or its "
                    + "output cap smaller.")
            answer.mustNotRetry = true
        }
        answer.limits = refusal.reading
        return answer
    }
}

extension RequestLimit.Kind {
    fileprivate var text: String {
        switch self {
        case .requests: "requests per minute"
        case .tokens: "tokens per minute"
        case .streams: "requests at a time"
        }
    }
}

/// Durations as OpenAI's headers have them, which are Go's: `20ms`, `1s`, `8.64s`, `6m0s`.
enum GoDuration {
    static func text(_ milliseconds: Int64) -> String {
        if milliseconds <= 0 { return "0s" }
        if milliseconds < 1000 { return "\(milliseconds)ms" }
        let (minutes, rest) = (milliseconds / 60_000, milliseconds % 60_000)
        var seconds = "\(rest / 1000)"
        if rest % 1000 != 0 {
            var digits = String(1000 + rest % 1000).dropFirst()
            while digits.hasSuffix("0") { digits.removeLast() }
            seconds += "." + digits
        }
        if minutes == 0 { return seconds + "s" }
        if minutes < 60 { return "\(minutes)m\(seconds)s" }
        return "\(minutes / 60)h\(minutes % 60)m\(seconds)s"
    }
}

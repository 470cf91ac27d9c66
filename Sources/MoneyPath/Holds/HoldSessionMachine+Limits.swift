import Metering

/// What PLACE says of request limits: {0, granted, p − U, requests, tokens, near caps}, and
/// {-6, which limit, ms until it fits, requests, tokens}.
extension HoldSessionMachine {
    /// The limits by the numbers that the script has for them.
    static var limitsByNumber: [RequestLimit] {
        [
            RequestLimit(.key, .requests), RequestLimit(.key, .tokens), RequestLimit(.account, .requests),
            RequestLimit(.account, .tokens), RequestLimit(.key, .streams), RequestLimit(.account, .streams),
        ]
    }

    static func notes(_ request: PlaceRequest, _ reply: HoldReply) -> GrantNotes {
        // The short answer: no limits, no caps; or a hold that was known already.
        guard reply.code == 0, let mask = reply.number(at: 5) else { return .none }
        return GrantNotes(limits: Self.reading(request.limits, reply), nearCaps: Self.caps(mask))
    }

    static func limitAnswer(_ limits: PlaceLimits, _ reply: HoldReply) -> PlaceAnswer {
        guard let number = reply.number(at: 1), number >= 1, number <= Self.limitsByNumber.count,
            let value = limits[Self.limitsByNumber[Int(number) - 1]], let wait = reply.number(at: 2)
        else { return .unavailable(.storeRefused) }
        return .limited(
            LimitRefusal(
                limit: Self.limitsByNumber[Int(number) - 1], value: value,
                fitsInMilliseconds: wait < 0 ? nil : wait, reading: Self.reading(limits, reply)))
    }

    private static func reading(_ limits: PlaceLimits, _ reply: HoldReply) -> LimitReading {
        LimitReading(
            requests: Self.level(limits, .requests, reply.number(at: 3)),
            tokens: Self.level(limits, .tokens, reply.number(at: 4)))
    }

    /// What is used of the tightest one: of the key as it is, of the account as −1 − used.
    private static func level(
        _ limits: PlaceLimits, _ kind: RequestLimit.Kind, _ number: Int64?
    ) -> LimitLevel? {
        guard let number else { return nil }
        let (scope, used) = number < 0 ? (RequestLimit.Scope.account, -1 - number) : (.key, number)
        return limits[RequestLimit(scope, kind)].map { LimitLevel(limit: $0, used: used) }
    }

    private static func caps(_ mask: Int64) -> [SpendCap] {
        SpendCap.allCases.enumerated().filter { mask & (1 << Int64($0.offset)) != 0 }.map(\.element)
    }
}

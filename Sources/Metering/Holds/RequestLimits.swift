/// How much an API key or an account may ask for; nil = no limit (CONTRACT §3, `RATE_LIMIT_*`).
public struct RequestLimits: Sendable, Hashable {
    public var requestsPerMinute: Int64?
    /// Input bound and output cap of each request when it is admitted; what it used once that is known.
    public var tokensPerMinute: Int64?
    /// Exchanges under way at a time, streams and others: open holds.
    public var streams: Int64?

    public static let none = RequestLimits()
    /// Of each of the three; the store counts in 1/60000 and is exact up to there.
    public static let range: ClosedRange<Int64> = 1...1_000_000_000

    public init(requestsPerMinute: Int64? = nil, tokensPerMinute: Int64? = nil, streams: Int64? = nil) {
        for limit in [requestsPerMinute, tokensPerMinute, streams] {
            precondition(limit.map(Self.range.contains) ?? true, "configuration and ledger check the range")
        }
        self.requestsPerMinute = requestsPerMinute
        self.tokensPerMinute = tokensPerMinute
        self.streams = streams
    }

    public subscript(kind: RequestLimit.Kind) -> Int64? {
        switch kind {
        case .requests: self.requestsPerMinute
        case .tokens: self.tokensPerMinute
        case .streams: self.streams
        }
    }

    /// With what somebody set for one key or account in place of these defaults.
    public func overridden(by override: RequestLimitOverrides) -> RequestLimits {
        func limit(_ own: Int64?, _ usual: Int64?) -> Int64? { own.map { $0 == 0 ? nil : $0 } ?? usual }
        return RequestLimits(
            requestsPerMinute: limit(override.requestsPerMinute, self.requestsPerMinute),
            tokensPerMinute: limit(override.tokensPerMinute, self.tokensPerMinute),
            streams: limit(override.streams, self.streams))
    }
}

/// Limits of one key or account as the ledger keeps them: nil = as configured, 0 = no limit.
public struct RequestLimitOverrides: Sendable, Hashable {
    public var requestsPerMinute: Int64?
    public var tokensPerMinute: Int64?
    public var streams: Int64?

    public static let none = RequestLimitOverrides()
    public static let range: ClosedRange<Int64> = 0...RequestLimits.range.upperBound

    /// - Precondition: the database checks that each is in `range`.
    public init(requestsPerMinute: Int64? = nil, tokensPerMinute: Int64? = nil, streams: Int64? = nil) {
        for limit in [requestsPerMinute, tokensPerMinute, streams] {
            precondition(limit.map(Self.range.contains) ?? true, "the ledger checks the range")
        }
        self.requestsPerMinute = requestsPerMinute
        self.tokensPerMinute = tokensPerMinute
        self.streams = streams
    }
}

/// One of the six limits.
public struct RequestLimit: Sendable, Hashable {
    public enum Scope: String, Sendable, Hashable, CaseIterable { case key, account }
    public enum Kind: String, Sendable, Hashable, CaseIterable { case requests, tokens, streams }

    public var scope: Scope
    public var kind: Kind

    public init(_ scope: Scope, _ kind: Kind) {
        self.scope = scope
        self.kind = kind
    }
}

/// What PLACE has to know about the limits of its request.
public struct PlaceLimits: Sendable, Hashable {
    /// Whose requests, tokens and streams are counted beside those of the account; 0 = no key.
    public var keyID: Int64
    public var key: RequestLimits
    public var account: RequestLimits
    /// Counted at admission.
    public var tokens: Int64

    public static let none = PlaceLimits(keyID: 0, key: .none, account: .none, tokens: 0)

    public init(keyID: Int64, key: RequestLimits, account: RequestLimits, tokens: Int64) {
        precondition(keyID >= 0 && tokens >= 0, "the ledger numbers keys from 1, the inspector bounds tokens")
        precondition(keyID > 0 || key == .none, "limits of a key are those of one that is named")
        self.keyID = keyID
        self.key = key
        self.account = account
        self.tokens = tokens
    }

    public var areNone: Bool { self.key == .none && self.account == .none }

    /// The hold remembers `tokens`, so that its end can put them right.
    public var countsTokens: Bool {
        self.key.tokensPerMinute != nil || self.account.tokensPerMinute != nil
    }

    public var countedTokens: Int64? { self.countsTokens ? self.tokens : nil }

    public subscript(limit: RequestLimit) -> Int64? {
        switch limit.scope {
        case .key: self.key[limit.kind]
        case .account: self.account[limit.kind]
        }
    }
}

/// How full one limit per minute is: a bucket that drains evenly.
public struct LimitLevel: Sendable, Hashable {
    public var limit: Int64
    /// In 1/60000 of a request or a token, so that `limit` of them drain per millisecond.
    public var used: Int64

    public static let unit: Int64 = 60_000

    public init(limit: Int64, used: Int64) {
        precondition(RequestLimits.range.contains(limit) && used >= 0, "the store counts from 0")
        self.limit = limit
        self.used = used
    }

    /// Whole requests or tokens that fit now.
    public var remaining: Int64 { max(0, self.limit * Self.unit - self.used) / Self.unit }

    /// Until all of the limit is free again.
    public var resetMilliseconds: Int64 { (self.used + self.limit - 1) / self.limit }
}

/// The tightest of key and account, per kind; nil: neither has such a limit.
public struct LimitReading: Sendable, Hashable {
    public var requests: LimitLevel?
    public var tokens: LimitLevel?

    public static let none = LimitReading()

    public init(requests: LimitLevel? = nil, tokens: LimitLevel? = nil) {
        self.requests = requests
        self.tokens = tokens
    }
}

/// A request that does not fit its limits now: 429.
public struct LimitRefusal: Sendable, Hashable {
    /// The one that has to be waited for longest.
    public var limit: RequestLimit
    public var value: Int64
    /// nil: the request is larger than the limit and will never fit.
    public var fitsInMilliseconds: Int64?
    public var reading: LimitReading

    public init(limit: RequestLimit, value: Int64, fitsInMilliseconds: Int64?, reading: LimitReading) {
        self.limit = limit
        self.value = value
        self.fitsInMilliseconds = fitsInMilliseconds
        self.reading = reading
    }
}

/// What a grant says besides its amount.
public struct GrantNotes: Sendable, Hashable {
    public var limits: LimitReading
    /// Caps of which 80 % are spent or held now (CONTRACT §3).
    public var nearCaps: [SpendCap]

    public static let none = GrantNotes()

    public init(limits: LimitReading = .none, nearCaps: [SpendCap] = []) {
        self.limits = limits
        self.nearCaps = nearCaps
    }
}

extension Settlement {
    /// What counts against limits of tokens, within what they can count.
    public var limitedTokens: Int64 {
        let (sum, overflow) = self.usage.inputTotal.addingReportingOverflow(self.usage.outputTotal)
        return overflow ? RequestLimits.range.upperBound : max(0, min(sum, RequestLimits.range.upperBound))
    }
}

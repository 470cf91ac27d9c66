import Metering
import MoneyPath

/// Request limits (`HoldScript.placeLimits`).
extension AccountHash {
    /// The value of `l:r`, `l:t`, `l:r:<key>`, `l:t:<key>`.
    public struct Bucket: Sendable, Hashable {
        /// Milliseconds since 1970 on the node's clock.
        public var at: Int64
        /// In `LimitLevel.unit`s.
        public var used: Int64
        public var limit: Int64
    }

    struct LimitsFound {
        var refusal: (number: Int64, wait: Int64)?
        var buckets: [String: Bucket] = [:]
        /// Requests and tokens used of the tightest, as the answers word them.
        var before: [Int64] = [0, 0]
        var after: [Int64] = [0, 0]
        var room: [Int64] = [.max, .max]
        /// Streams of the account and of the key, without this one.
        var streams: (all: Int64, mine: Int64) = (0, 0)

        /// The longest wait is told; −1 is for ever.
        mutating func refuse(_ number: Int64, _ wait: Int64) {
            let known = self.refusal?.wait ?? 0
            if known >= 0, wait < 0 || wait > known { self.refusal = (number, wait) }
        }
    }

    /// Writes nothing.
    func checkLimits(_ limits: PlaceLimits, _ call: StoreCall) -> LimitsFound {
        var found = LimitsFound()
        let rates: [(number: Int64, name: String, limit: Int64?, need: Int64)] = [
            (1, "l:r:\(limits.keyID)", limits.key.requestsPerMinute, 1),
            (2, "l:t:\(limits.keyID)", limits.key.tokensPerMinute, limits.tokens),
            (3, "l:r", limits.account.requestsPerMinute, 1),
            (4, "l:t", limits.account.tokensPerMinute, limits.tokens),
        ]
        for rate in rates {
            guard let limit = rate.limit else { continue }
            self.check(rate.number, rate.name, limit, need: rate.need, &found, call)
        }
        let all = self.streams.all
        let mine = call.has(.limitKnowsWhoseStream) ? self.streams.ofKey[limits.keyID] ?? 0 : all
        found.streams = (all, mine)
        if let most = limits.key.streams, mine >= most, call.has(.limitOfKeyStreams) { found.refuse(5, 1000) }
        if let most = limits.account.streams, all >= most, call.has(.limitOfAccountStreams) {
            found.refuse(6, 1000)
        }
        return found
    }

    mutating func take(_ found: LimitsFound, of key: Int64, _ call: StoreCall) {
        let isNew = ["l:r:\(key)", "l:t:\(key)"].contains {
            found.buckets[$0] != nil && self.buckets[$0] == nil
        }
        let isDue = self.forgotAt.map { call.now - $0 >= 600_000 } ?? true
        if isNew, isDue || !call.has(.limitForgetsSeldom), call.has(.limitForgetsDrained) {
            self.forgotAt = call.now
            self.buckets = self.buckets.filter { name, bucket in
                name == "l:r" || name == "l:t" || call.now - bucket.at < 60_000
            }
        }
        guard call.has(.placeTakesOfLimits) else { return }
        self.buckets.merge(found.buckets) { $1 }
        guard key != 0, call.has(.placeCountsStream) else { return }
        self.streams.all = found.streams.all + 1
        self.streams.ofKey[key] = found.streams.mine + 1
    }

    private func check(
        _ number: Int64, _ name: String, _ limit: Int64, need: Int64, _ found: inout LimitsFound,
        _ call: StoreCall
    ) {
        var bucket = self.drained(name, limit, call)
        let capacity = limit * LimitLevel.unit
        let isLarger = need > limit && call.has(.limitKnowsWhatNeverFits)
        // Far beyond any limit the product would overflow, and nobody looks at it.
        let after = bucket.used + min(need, RequestLimits.range.upperBound) * LimitLevel.unit
        if isLarger {
            found.refuse(number, -1)
        } else if after > capacity, call.has(.limitRefusesBeyond) {
            found.refuse(number, (after + limit - 1) / limit - LimitLevel.unit)
        }
        let kind = Int(number - 1) % 2
        if capacity - bucket.used < found.room[kind] {
            found.room[kind] = capacity - bucket.used
            found.before[kind] = number > 2 ? -1 - bucket.used : bucket.used
            found.after[kind] = number > 2 ? -1 - after : after
        }
        bucket.used = after
        found.buckets[name] = bucket
    }

    /// What is used now, by the limit that holds now.
    private func drained(_ name: String, _ limit: Int64, _ call: StoreCall) -> Bucket {
        guard let bucket = self.buckets[name] else { return Bucket(at: call.now, used: 0, limit: limit) }
        let at = call.has(.limitNeverGoesBack) ? max(bucket.at, call.now) : call.now
        let passed = call.has(.limitDrains) ? min(at - bucket.at, 60_000) : 0
        let most = call.has(.limitShrinksWhatIsUsed) ? limit * LimitLevel.unit : .max
        return Bucket(at: at, used: max(0, min(bucket.used, most) - passed * limit), limit: limit)
    }

    /// Open holds that came under limits.
    public struct StreamCounts: Sendable, Hashable {
        public internal(set) var all: Int64 = 0
        public internal(set) var ofKey: [Int64: Int64] = [:]

        public init() {}

        public init(of holds: some Sequence<HoldEntry>) {
            for hold in holds { self.count(hold, 1) }
        }

        public var areNone: Bool { self.all == 0 && self.ofKey.isEmpty }

        /// A reaper's stream ended with its process.
        mutating func count(_ hold: HoldEntry, _ by: Int64) {
            guard hold.key != 0, hold.owner.reaper == nil else { return }
            self.all += by
            let ofKey = (self.ofKey[hold.key] ?? 0) + by
            self.ofKey[hold.key] = ofKey == 0 ? nil : ofKey
        }
    }

    mutating func correctTokens(of hold: HoldEntry, used: Int64, _ call: StoreCall) {
        guard let counted = hold.countedTokens else { return }
        for name in ["l:t:\(hold.key)", "l:t"] {
            guard let known = self.buckets[name] else { continue }
            var bucket = self.drained(name, known.limit, call)
            bucket.used = max(0, bucket.used + (used - counted) * LimitLevel.unit)
            self.buckets[name] = bucket
        }
    }

    /// 1 request + 2 session + 4 day, where 80 % would be spent or held.
    static func nearCaps(_ caps: SpendCaps, grant: Int64, held: Int64, _ windows: Rolled?) -> Int64 {
        func mark(_ cap: Millicredits?, _ used: Int64, _ bit: Int64) -> Int64 {
            guard let cap = cap?.value, used >= cap - cap / 5 else { return 0 }
            return bit
        }
        return mark(caps.request, grant, 1) + mark(caps.session, (windows?.hour ?? 0) + held + grant, 2)
            + mark(caps.day, (windows?.day ?? 0) + held + grant, 4)
    }
}

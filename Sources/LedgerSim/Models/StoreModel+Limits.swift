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
        let all = self.streams(of: nil, call)
        let mine = self.streams(of: limits.keyID, call)
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
        if isNew, call.has(.limitForgetsDrained) {
            self.buckets = self.buckets.filter { name, bucket in
                name == "l:r" || name == "l:t" || call.now - bucket.at < 60_000
            }
        }
        if call.has(.placeTakesOfLimits) { self.buckets.merge(found.buckets) { $1 } }
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

    /// Open holds; a reaper's stream ended with its process.
    private func streams(of key: Int64?, _ call: StoreCall) -> Int64 {
        let open = self.holds.values.filter { hold in
            let isOver = hold.owner.reaper != nil && call.has(.limitForgetsReapedStreams)
            return !isOver && (key == nil || hold.key == key || !call.has(.limitKnowsWhoseStream))
        }
        return Int64(open.count)
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

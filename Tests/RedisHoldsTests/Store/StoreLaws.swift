import LedgerSim
import Metering
import MoneyPath

/// What holds of every account whatever happens (DESIGN §9: R1, R2, R4), and of every grant.
extension AccountHash {
    var brokenLaws: [String] {
        let sumOfHolds = self.holds.values.reduce(0) { $0 + $1.amount.value }
        let sumOfCaptures = self.captures.values.reduce(0) { $0 + $1.charge.amount.value }
        let laws: [(String, Bool)] = [
            ("R1: H is the sum of the holds", self.held ?? 0 == sumOfHolds),
            (
                "R1: W is the sum of those that are waived",
                self.waived ?? 0 == self.holds.values.reduce(0) { $1.isWaived ? $0 + $1.amount.value : $0 }
            ),
            ("R2: U is the sum of the captures", self.captured ?? 0 == sumOfCaptures),
            ("R4: no hold is captured", Set(self.holds.keys).isDisjoint(with: self.captures.keys)),
            ("c counts the streams", self.streams == StreamCounts(of: self.holds.values)),
            ("M is the sum of its minutes", self.hour?.spent ?? 0 == self.minutes.values.reduce(0, +)),
        ]
        return laws.filter { !$0.1 }.map(\.0)
    }

    /// To be asked right after PLACE granted this: it was paid for, and is within its caps.
    func brokenLaws(ofGrant request: PlaceRequest) -> [String] {
        let held = self.held ?? 0
        let amount = self.holds[request.hold]?.amount ?? request.want
        let hour = (self.hour?.spent ?? 0) + held
        let day = (self.day?.spent ?? 0) + held
        var laws: [(String, Bool)] = [
            ("a grant is available", request.isWaived || self.available >= 0),
            ("a grant is between least and want", amount >= request.least && amount <= request.want),
            ("a grant is within the cap of the request", request.caps.request.map { amount <= $0 } ?? true),
            ("a grant is within the cap of the hour", request.caps.session.map { hour <= $0.value } ?? true),
            ("a grant is within the cap of the day", request.caps.day.map { day <= $0.value } ?? true),
        ]
        for (limits, holds) in [
            (request.limits.account, self.openHolds),
            (request.limits.key, self.openHolds.filter { $0.key == request.limits.keyID }),
        ] {
            laws.append(("a grant is within its limit of streams", limits.streams ?? .max >= holds.count))
        }
        for (name, limit) in [
            ("l:r:\(request.limits.keyID)", request.limits.key.requestsPerMinute),
            ("l:t:\(request.limits.keyID)", request.limits.key.tokensPerMinute),
            ("l:r", request.limits.account.requestsPerMinute),
            ("l:t", request.limits.account.tokensPerMinute),
        ] {
            guard let limit else { continue }
            let used = self.buckets[name]?.used ?? .max
            laws.append(("a grant is within \(name)", used <= limit * LimitLevel.unit))
        }
        return laws.filter { !$0.1 }.map(\.0)
    }

    /// That came under limits.
    private var openHolds: [HoldEntry] {
        self.holds.values.filter { $0.owner.reaper == nil && $0.key != 0 }
    }
}

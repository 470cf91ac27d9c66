import LedgerSim
import Metering
import MoneyPath

@testable import RedisHolds

/// Steps as the session, the poster and the sweep word them, and the hash as the scripts write it.
extension StoreStep {
    var wording: (script: HoldScript, arguments: [String]) {
        switch self.act {
        case .command(let command):
            self.wording(of: command)
        case .extend(let hold, _, let total, let progress, let caps):
            (.extend, self.extending(hold, total, progress, caps, raise: self.fence.raise))
        case .reap(let hold, _, let dead):
            (
                .reap,
                [
                    "\(hold)", "\(dead)", "\(HoldOwner(dead.boot, reaper: self.owner))",
                    "\(self.lease.milliseconds)",
                ]
            )
        case .evict(_, let seconds):
            (.evict, ["\(seconds)"])
        }
    }

    private func wording(of command: HoldCommand) -> (script: HoldScript, arguments: [String]) {
        switch command {
        case .place(let request):
            (
                .place,
                [self.epoch, self.fence.loop, "\(self.fence.generation)", "\(request.hold)"]
                    + ["\(request.want)", "\(request.least)"] + self.leaseWords
                    + [request.meta(progress: nil)] + request.caps.words + request.limits.words
            )
        case .capture(let settlement, let force):
            (
                .capture,
                self.fenceWords(raise: self.fence.raise)
                    + [
                        force ? "1" : "0", "\(settlement.hold)", "\(settlement.charge.amount)",
                        settlement.text, "\(settlement.limitedTokens)", "\(settlement.counted)",
                    ]
            )
        case .release(let hold, _):
            (.release, self.fenceWords(raise: self.fence.raise) + ["\(hold)", "\(self.owner)"])
        case .touch(let hold, _, let held, let progress):
            (.extend, self.extending(hold, held, progress, .none, raise: false))
        case .extend(let hold, _, let total, let progress, let caps):
            (.extend, self.extending(hold, total, progress, caps, raise: false))
        case .reassert(let request, let amount, let progress):
            (
                .reassert,
                self.fenceWords(raise: self.fence.raise) + ["\(request.hold)", "\(amount)"] + self.leaseWords
                    + [request.meta(progress: progress)]
            )
        case .load(_, let nonce): (.load, [nonce])
        case .initialize(_, let incarnation, let epoch, let snapshot):
            (.initialize, [incarnation, epoch] + snapshot.words)
        case .posted(let posting): (.posted, posting.balance.words + posting.settled.flatMap(\.posting))
        case .gate(let gate): (.gate, gate.words)
        case .readNode: preconditionFailure("no script")
        }
    }

    private func extending(
        _ hold: HoldID, _ total: Millicredits, _ progress: Millicredits?, _ caps: SpendCaps, raise: Bool
    ) -> [String] {
        self.fenceWords(raise: raise) + ["\(hold)", "\(total)"] + self.leaseWords + [progress.word]
            + caps.words
    }

    private func fenceWords(raise: Bool) -> [String] {
        [self.fence.loop, "\(self.fence.generation)", raise ? "1" : "0"]
    }

    private var leaseWords: [String] { ["\(self.lease.milliseconds)", "\(self.owner)"] }
}

extension Millicredits? {
    fileprivate var word: String { self.map { "\($0)" } ?? "" }
}

extension SpendCaps {
    fileprivate var words: [String] { [self.request.word, self.session.word, self.day.word] }
}

extension PlaceLimits {
    fileprivate var words: [String] {
        self.areNone ? [] : ["\(self.keyID)", "\(self.tokens)"] + self.key.words + self.account.words
    }

    /// Behind the input estimate.
    fileprivate var tag: String { limitTag(self.areNone ? 0 : self.keyID, self.countedTokens) }
}

private func limitTag(_ key: Int64, _ tokens: Int64?) -> String {
    key == 0 ? "" : ",\(key),\(tokens.map { "\($0)" } ?? "")"
}

/// Without limits two empty fields stand before the mark.
private func waivedTag(_ limits: String, _ isWaived: Bool) -> String {
    isWaived ? (limits.isEmpty ? ",," : limits) + ",w" : limits
}

extension RequestLimits {
    fileprivate var words: [String] { RequestLimit.Kind.allCases.map { self[$0].map { "\($0)" } ?? "" } }
}

extension SettledHold {
    fileprivate var loading: [String] { ["\(self.hold)", "\(self.amount)", "\(self.authority.rawValue)"] }
    fileprivate var posting: [String] {
        ["\(self.hold)", "\(self.amount)", "\(self.counted)", "\(self.authority.rawValue)"]
    }
}

extension LedgerBalance {
    fileprivate var words: [String] { ["\(self.generation)", "\(self.version)", "\(self.balance)"] }
}

extension AccountGate {
    fileprivate var words: [String] { ["\(self.version)", "\(self.floor)", self.blocked ? "1" : "0"] }
}

extension AccountSnapshot {
    fileprivate var words: [String] {
        self.balance.words + self.gate.words + ["\(self.spentLastHour)", "\(self.spentToday)"]
            + self.settled.flatMap(\.loading)
    }
}

extension PlaceRequest {
    fileprivate func meta(progress: Millicredits?) -> String {
        "\(self.inputEstimate)\(waivedTag(self.limits.tag, self.isWaived))|\(self.priceID)|\(self.endpoint.rawValue)|\(progress.word)"
    }
}

extension Settlement {
    fileprivate var text: String { String(decoding: self.encode(), as: UTF8.self) }
}

extension HoldEntry {
    private var tag: String { waivedTag(limitTag(self.key, self.countedTokens), self.isWaived) }

    /// The value of `h:<hold>`.
    var text: String {
        "\(self.amount)|\(self.deadline)|\(self.owner)|\(self.placed)|\(self.inputEstimate)\(self.tag)|"
            + "\(self.priceID)|"
            + "\(self.endpoint.rawValue)|\(self.progress.word)"
    }
}

extension AccountHash {
    /// Every field, as HGETALL shows it.
    var fields: [String: String] {
        var fields: [String: String] = [:]
        fields["i"] = self.incarnation
        fields["e"] = self.epoch
        fields["lg"] = self.ledger.map { "\($0.generation)" }
        fields["s"] = self.ledger.map { "\($0.version)" }
        fields["p"] = self.ledger.map { "\($0.balance)" }
        fields["gs"] = (self.gate?.version).map { "\($0)" }
        fields["f"] = self.gate.map { "\($0.floor)" }
        fields["blk"] = self.gate.map { $0.blocked ? "1" : "0" }
        fields["H"] = self.held.map { "\($0)" }
        fields["W"] = self.waived.map { "\($0)" }
        fields["U"] = self.captured.map { "\($0)" }
        fields["t"] = self.usedSecond.map { "\($0)" }
        fields["mi"] = self.hour.map { "\($0.reached)" }
        fields["M"] = self.hour.map { "\($0.spent)" }
        fields["di"] = self.day.map { "\($0.reached)" }
        fields["D"] = self.day.map { "\($0.spent)" }
        for (slot, spent) in self.minutes { fields["m\(slot)"] = "\(spent)" }
        for (name, bucket) in self.buckets { fields[name] = "\(bucket.at)|\(bucket.used)|\(bucket.limit)" }
        fields["lf"] = self.forgotAt.map { "\($0)" }
        if self.streams.all != 0 { fields["c"] = "\(self.streams.all)" }
        for (key, count) in self.streams.ofKey { fields["c:\(key)"] = "\(count)" }
        for (hold, entry) in self.holds { fields["h:\(hold)"] = entry.text }
        for (hold, settlement) in self.captures {
            fields["u:\(hold)"] = "\(settlement.charge.amount)|\(settlement.text)"
        }
        for (loop, fence) in self.fences { fields["g:\(loop)"] = "\(fence.generation)|\(fence.raisedSecond)" }
        return fields
    }
}

import Metering
import MoneyPath

/// CAPTURE, RELEASE, POSTED and GATE: what ends a hold, and what the ledger says.
extension AccountHash {
    mutating func capture(
        _ settlement: Settlement, force: Bool, _ call: StoreCall
    ) throws(ScriptAborted) -> Int64 {
        if self.isFenced(call) { return -5 }
        let (id, amount) = (settlement.hold, settlement.charge.amount.value)
        let hold = self.holds[id]
        let isKnown = self.captures[id] != nil
        let isMissing = hold == nil && !force && call.has(.captureNeedsHold)
        if isKnown && call.has(.captureKnownCapture) || isMissing {
            self.raiseFence(call.fence.raise, call)
            return isKnown ? 1 : 2
        }
        if let hold {
            self.holds[id] = nil
            try self.uncount(hold, call)
            if call.has(.captureEndsStream) { self.streams.count(hold, -1) }
        }
        self.captures[id] = settlement
        Self.add(amount, to: &self.captured)
        self.spend(call.has(.captureSpendsShadow) ? settlement.counted.value : amount, call)
        if let hold, call.has(.captureCorrectsTokens) {
            self.correctTokens(of: hold, used: settlement.limitedTokens, call)
        }
        self.raiseFence(call.fence.raise, call)
        return hold == nil ? 3 : 0
    }

    mutating func release(_ id: HoldID, _ call: StoreCall) throws(ScriptAborted) -> Int64 {
        if self.isFenced(call) { return -5 }
        var answer: Int64 = self.captures[id] == nil ? 1 : 2
        if let hold = self.holds[id] {
            if hold.owner == HoldOwner(call.owner) || !call.has(.releaseNeedsOwner) {
                self.holds[id] = nil
                try self.uncount(hold, call)
                if call.has(.releaseEndsStream) { self.streams.count(hold, -1) }
                if call.has(.releaseFreesTokens) { self.correctTokens(of: hold, used: 0, call) }
                answer = 0
            } else {
                answer = 3
            }
        }
        self.raiseFence(call.fence.raise, call)
        return answer
    }

    mutating func posted(_ posting: PostedAccount, _ call: StoreCall) throws(ScriptAborted) -> Int64 {
        var gone: Int64 = 0
        for settled in posting.settled {
            let (id, amount) = (settled.hold, settled.amount.value)
            let capture = self.captures[id]
            if let hold = self.holds[id], call.has(.postedDropsHold) {
                self.holds[id] = nil
                try self.uncount(hold, call)
                if call.has(.postedEndsStream) { self.streams.count(hold, -1) }
                if call.has(.postedSpends) {
                    self.spend(call.has(.postedSpendsShadow) ? settled.counted.value : amount, call)
                }
                gone += 1
            }
            if let capture,
                capture.charge.amount == settled.amount || !call.has(.postedComparesAmount),
                capture.authority.rawValue <= settled.authority.rawValue
                    || !call.has(.postedComparesAuthority)
            {
                self.captures[id] = nil
                try Self.subtract(amount, from: &self.captured, call)
                gone += 1
            }
        }
        let exists = self.incarnation != nil || !call.has(.postedNeedsHash)
        if exists, self.isNewer(posting.balance, call) {
            let isRestored = posting.balance.generation > self.ledger?.generation ?? 0
            if isRestored, call.has(.postedForgetsGate) { self.gate?.version = nil }
            self.ledger = LedgerReading(posting.balance)
        }
        return gone
    }

    mutating func take(_ gate: AccountGate, _ call: StoreCall) -> Int64 {
        if self.incarnation == nil, call.has(.gateNeedsHash) { return 0 }
        if let known = self.gate?.version, gate.version <= known, call.has(.gateComparesVersion) { return 0 }
        self.gate = GateReading(gate)
        return 1
    }
}

import Metering
import MoneyPath

/// PLACE, EXTEND and REASSERT: what makes a hold, or makes it larger.
extension AccountHash {
    mutating func place(_ request: PlaceRequest, _ call: StoreCall) -> HoldNumbers {
        if self.isFenced(call) { return HoldNumbers(-5) }
        let posted = (self.ledger?.balance ?? 0) - (self.captured ?? 0)
        if let known = self.holds[request.hold], call.has(.placeKnownHold) {
            return HoldNumbers(1, known.amount.value, posted)
        }
        if self.captures[request.hold] != nil, call.has(.placeKnownCapture) { return HoldNumbers(2) }
        let isOld = self.epoch != call.epoch && call.has(.epochStamp)
        if self.ledger == nil || isOld { return HoldNumbers(-1) }
        let available = self.available
        if self.gate?.blocked == true, call.has(.placeNeedsOpenGate) { return self.refusal(-3, available) }

        var limits: LimitsFound?
        if !request.limits.areNone {
            let found = self.checkLimits(request.limits, call)
            if let refusal = found.refusal, call.has(.placeLimits) {
                return HoldNumbers(-6, refusal.number, refusal.wait, found.before[0], found.before[1])
            }
            limits = found
        }
        var want = request.want.value
        let least = request.least.value
        let held = self.held ?? 0
        let room = self.capRoom(request.caps, held: held, call)
        if let found = room, call.has(.placeCaps) {
            if found.room < least {
                return self.capReached(found, request.caps, need: least, held: held, call)
            }
            want = min(want, found.room)
        }

        let isFunded = request.isWaived && call.has(.placeWaivesFunds)
        var grant = want
        if grant > available, !isFunded {
            // The shift rounds down, as math.floor does; `/` would not.
            let part = call.has(.placeTakesHalf) ? available >> 1 : available
            grant = call.has(.placeNeedsLeast) ? max(least, part) : part
        }
        if grant > available, !isFunded, call.has(.placeNeedsFunds) { return self.refusal(-2, available) }
        let hold = HoldEntry(request, amount: Millicredits(grant), progress: nil, call)
        self.holds[request.hold] = hold
        self.usedSecond = call.second
        self.count(hold, .placeCountsWaived, call)
        if limits == nil, room == nil { return HoldNumbers(0, grant, posted) }
        if let limits { self.take(limits, of: request.limits.keyID, call) }
        let used = limits?.after ?? [0, 0]
        let near = Self.nearCaps(request.caps, grant: grant, held: held, room?.windows)
        return HoldNumbers(0, grant, posted, used[0], used[1], near)
    }

    /// {code, available, lg, s, gs}
    private func refusal(_ code: Int64, _ available: Int64) -> HoldNumbers {
        HoldNumbers(
            code, available, self.ledger?.generation ?? 0, self.ledger?.version ?? 0, self.gate?.version ?? 0)
    }

    mutating func extend(
        _ id: HoldID, total: Millicredits, progress: Millicredits?, caps: SpendCaps, raise: Bool,
        _ call: StoreCall
    ) throws(ScriptAborted) -> HoldReply {
        if self.isFenced(call) { return .numbers(HoldNumbers(-5)) }
        guard var hold = self.holds[id] else {
            guard call.has(.extendNeedsHold) else { throw ScriptAborted() }
            return .numbers(HoldNumbers(2))
        }
        if hold.owner != HoldOwner(call.owner), call.has(.extendNeedsOwner) {
            return .numbers(HoldNumbers(3))
        }
        if progress != nil || !call.has(.touchKeepsProgress) { hold.progress = progress }
        (hold.deadline, hold.owner) = (call.deadline, HoldOwner(call.owner))
        let more = call.has(.extendAbsolute) ? total.value - hold.amount.value : total.value
        if more <= 0, call.has(.extendOnlyRaises) {
            self.holds[id] = hold
            self.raiseFence(raise, call)
            return .numbers(HoldNumbers(1, hold.amount.value))
        }
        if let refusal = try self.refusesToExtend(by: more, hold, caps, call) { return .numbers(refusal) }
        hold.amount = total
        self.holds[id] = hold
        Self.add(more, to: &self.held)
        if hold.isWaived { Self.add(more, to: &self.waived) }
        self.raiseFence(raise, call)
        return .numbers(HoldNumbers(0, total.value))
    }

    private mutating func refusesToExtend(
        by more: Int64, _ hold: HoldEntry, _ caps: SpendCaps, _ call: StoreCall
    ) throws(ScriptAborted) -> HoldNumbers? {
        if self.gate?.blocked == true, call.has(.extendNeedsOpenGate) { return HoldNumbers(-3) }
        if self.ledger == nil, call.has(.extendNeedsBalance) { return HoldNumbers(-1) }
        let held = self.held ?? 0
        var beside = caps
        // What is held already is within the cap of the request.
        beside.request = caps.request.map { Millicredits($0.value - hold.amount.value) }
        if let found = self.capRoom(beside, held: held, call), found.room < more, call.has(.extendCaps) {
            return self.capReached(found, caps, need: more, held: held, call)
        }
        // Lua cannot calculate with a field that is not there.
        guard self.ledger != nil else { throw ScriptAborted() }
        let available = self.available
        if available < more, call.has(.extendNeedsFunds) { return HoldNumbers(-2, available) }
        return nil
    }

    mutating func reassert(
        _ request: PlaceRequest, amount: Millicredits, progress: Millicredits?, _ call: StoreCall
    ) -> Int64 {
        if self.isFenced(call) { return -5 }
        let isHeld = self.holds[request.hold] != nil && call.has(.reassertKnowsHold)
        let isCaptured = self.captures[request.hold] != nil && call.has(.reassertKnowsCapture)
        let isKnown = isHeld || isCaptured
        if !isKnown {
            let hold = HoldEntry(request, amount: amount, progress: progress, call)
            self.holds[request.hold] = hold
            self.count(hold, .reassertCountsWaived, call)
            if call.has(.reassertCountsStream) { self.streams.count(hold, 1) }
        }
        self.raiseFence(call.fence.raise, call)
        return isKnown ? 1 : 0
    }
}

import Metering

/// EXTEND (rules A11, R6): a hold grows while its exchange runs.
///
/// What counts as held is what the store said, never what was asked for: an EXTEND whose reply was lost may have raised
/// the hold, but nobody may use that. Nothing has to undo it: CAPTURE, RELEASE and POSTED free whatever is there.
extension HoldSessionMachine {
    private static var retryAfter: Span { .milliseconds(100) }

    /// Raises a hold to `total`; `.extended` follows, unless the hold ends first. Repeated until it is answered, over
    /// connections as well, for as long as a PLACE may ask the ledger.
    ///
    /// - Returns: false: no such open hold, or it is being extended; nothing will follow.
    public mutating func extend(_ id: HoldID, to total: Millicredits, now: Moment) -> Bool {
        guard let hold = self.live[id], hold.track.phase == .held, hold.extending == nil else { return false }
        guard total > hold.track.amount else {
            self.act(.extended(id, .granted(total: hold.track.amount)))
            return true
        }
        let deadline = now + self.settings.ledgerDeadline
        self.update(id) { $0.extending = HoldExtension(total: total, deadline: deadline, due: now) }
        self.sendExtend(id)
        return true
    }

    /// Present state: nothing goes out while the store may have lost holds of others (E2), nor on a balance of another
    /// epoch (E3); unlike PLACE, EXTEND does not look at that itself.
    mutating func sendExtend(_ id: HoldID) {
        guard self.isReady, self.isAdmitting, let hold = self.live[id], hold.track.phase == .held,
            let extending = hold.extending, !extending.isOut
        else { return }
        guard hold.loadedUnder == self.epoch || !self.has(.epoch) else {
            guard !extending.isLoading else { return }
            self.update(id) { $0.extending?.isLoading = true }
            return self.load(hold.request.account, for: id)
        }
        self.update(id) { $0.extending?.isOut = true }
        self.send(
            .extend(
                id, of: hold.request.account, total: extending.total, progress: hold.progress,
                caps: hold.request.caps), .extend(id, total: extending.total))
    }

    mutating func extendAnswered(_ id: HoldID, _ total: Millicredits, _ reply: HoldReply, now: Moment) {
        if reply.code == 0 || reply.code == 1 { self.learnAmount(of: id, reply) }
        // Otherwise nobody waits any more: the hold ended, or the deadline passed.
        guard let hold = self.live[id], let asked = hold.extending, asked.total == total, asked.isOut else {
            return
        }
        self.update(id) { $0.extending?.isOut = false }
        if let refusal = reply.refusal {
            self.note(refusal, of: "EXTEND")
            return self.extendLater(id, now: now)
        }
        switch reply.code {
        case 0, 1:
            self.answerExtend(id, hold.track.amount >= total ? .granted(total: hold.track.amount) : .unknown)
        case 2: self.extendFoundNothing(id, now: now)
        case 3:
            self.counts.takenOver += 1
            self.answerExtend(id, .takenOver)
        case -1:
            self.update(id) { $0.loadedUnder = nil }
            self.sendExtend(id)
        case -2: self.extendFoundShort(id, .short(available: Self.money(reply.number(at: 1))))
        case -3: self.extendFoundShort(id, .blocked)
        case -4:
            let named = Self.named(hold.request.caps, reply.number(at: 1))
            let resets = reply.number(at: 2) ?? 0
            self.answerExtend(
                id,
                named.map { .capReached($0, limit: $1, resetsAtMilliseconds: resets) } ?? .unknown)
        default:
            self.act(.misunderstood(command: "EXTEND"))
            self.answerExtend(id, .unknown)
        }
    }

    /// Rule F9. Whether the node is still the same is read first: then everything goes back, and the account is loaded.
    private mutating func extendFoundNothing(_ id: HoldID, now: Moment) {
        if self.has(.reassertOnLoss) { self.send(.readNode, .node(.judge)) }
        self.sendReassert(id, raise: false, now: now)
        self.extendLater(id, now: now)
    }

    private mutating func extendLater(_ id: HoldID, now: Moment) {
        self.update(id) { $0.extending?.due = now + Self.retryAfter }
    }

    /// Short is never final (G4).
    private mutating func extendFoundShort(_ id: HoldID, _ answer: ExtendAnswer) {
        guard let hold = self.live[id], hold.extending?.refusal == nil, self.has(.shortIsNeverFinal) else {
            return self.answerExtend(id, answer)
        }
        self.update(id) { hold in
            hold.extending?.refusal = answer
            hold.extending?.due = .distantFuture
        }
        let unknown = BalanceStamp(generation: 0, version: 0, gateVersion: 0)
        self.act(.verifyShort(id, of: hold.request.account, seen: unknown))
    }

    mutating func extensionVerified(_ id: HoldID, _ snapshot: AccountSnapshot?) {
        guard let extending = self.live[id]?.extending, !extending.isOut, let refusal = extending.refusal
        else {
            return
        }
        guard let snapshot, self.isReady else { return self.answerExtend(id, refusal) }
        self.saw(ledgerGeneration: snapshot.balance.generation)
        self.refresh(snapshot)
        self.sendExtend(id)
    }

    private mutating func answerExtend(_ id: HoldID, _ answer: ExtendAnswer) {
        self.update(id) { $0.extending = nil }
        self.act(.extended(id, answer))
    }

    /// The store said how much is set aside.
    mutating func learnAmount(of id: HoldID, _ reply: HoldReply) {
        guard let value = reply.number(at: 1), let amount = Millicredits(exactly: value), amount >= .zero
        else {
            return
        }
        self.update(id) { $0.track.raised(to: amount) }
    }

    mutating func keepUpExtension(_ id: HoldID, now: Moment) {
        guard let extending = self.live[id]?.extending, extending.isDue(now: now) else { return }
        guard extending.deadline > now else { return self.answerExtend(id, extending.refusal ?? .unknown) }
        self.sendExtend(id)
    }

    /// INIT stamped the account of a hold that waited for it.
    mutating func loaded(_ id: HoldID, under epoch: String) {
        guard self.live[id]?.extending?.isLoading == true else { return }
        self.update(id) { hold in
            hold.loadedUnder = epoch
            hold.extending?.isLoading = false
        }
        self.sendExtend(id)
    }
}

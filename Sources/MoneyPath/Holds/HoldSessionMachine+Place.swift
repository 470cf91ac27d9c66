import Metering

extension HoldSessionMachine {
    mutating func sendPlace(_ id: HoldID) {
        let epoch = self.epoch
        let request = self.update(id) { hold in
            hold.track.placeSent()
            hold.loadedUnder = epoch
            return hold.request
        }
        guard let request else { return }
        self.send(.place(request), .place(id))
    }

    mutating func placeAnswered(_ id: HoldID, _ reply: HoldReply, now: Moment) {
        if let refusal = reply.refusal { return self.placeRefused(id, refusal, now: now) }
        self.breaker.succeeded()
        switch reply.code {
        case 0, 1: self.granted(id, reply, now: now)
        case -1: self.decide(id) { $0.foundCold(id, now: now) }
        case -2:
            let available = Self.money(reply.number(at: 1))
            self.foundShort(id, .short(available: available), reply, now: now)
        case -3: self.foundShort(id, .blocked, reply, now: now)
        case -4:
            guard let caps = self.look(at: id, { $0.request.caps }) else { return }
            let answer = Self.capAnswer(caps, which: reply.number(at: 1), reset: reply.number(at: 2))
            self.decide(id) { $0.end(id, answer) }
        case -6:
            guard let limits = self.look(at: id, { $0.request.limits }) else { return }
            let answer = Self.limitAnswer(limits, reply)
            self.decide(id) { $0.end(id, answer) }
        case 2, -5:
            // Captured already, or fenced: only a mistake of ours can bring that about.
            self.act(.misunderstood(command: "PLACE"))
            self.decide(id) { $0.end(id, .unavailable(.storeRefused)) }
        default:
            self.placeBecameUnknown(id)
        }
    }

    /// Runs `next` if somebody waits for this PLACE; otherwise nothing is held and nothing is left to do.
    private mutating func decide(_ id: HoldID, _ next: (inout Self) -> Void) {
        switch self.update(id, { $0.track.notGranted() }) {
        case .decide?: next(&self)
        case .forget?: self.forget(id)
        case .ignore?, nil: break
        }
    }

    private mutating func granted(_ id: HoldID, _ reply: HoldReply, now: Moment) {
        guard let value = reply.number(at: 1), let amount = Millicredits(exactly: value), amount >= .zero
        else {
            return self.placeBecameUnknown(id)
        }
        switch self.update(id, { $0.track.granted(amount) }) {
        case .answer?:
            let (due, epoch) = (now + self.settings.touchEvery, self.nodeEpoch)
            self.update(id) { hold in
                hold.due = due
                hold.knownUnder = epoch
            }
            self.counts.open += 1
            let notes = self.look(at: id) { Self.notes($0.request, reply) } ?? .none
            self.answer(
                id, .granted(amount: amount, balance: Self.money(reply.number(at: 2)), notes: notes))
        case .giveBack?:
            guard self.has(.lateGrantIsReleased) else { return self.forget(id) }
            self.counts.lateGrantsReleased += 1
            self.sendEnd(id)
        case .ignore?, nil:
            break
        }
    }

    /// Out-of-range figures of an answer that does not decide about money are shown as the nearest bound.
    static func money(_ value: Int64?) -> Millicredits {
        let bound = Millicredits.magnitudeMax
        return Millicredits(max(-bound, min(bound, value ?? 0)))
    }

    private static func capAnswer(_ caps: SpendCaps, which: Int64?, reset: Int64?) -> PlaceAnswer {
        guard let (cap, limit) = Self.named(caps, which) else { return .unavailable(.storeRefused) }
        return .capReached(cap, limit: limit, resetsAtMilliseconds: reset ?? 0)
    }

    /// The cap that a script means by its number; nil: it was never told of such a cap.
    static func named(_ caps: SpendCaps, _ which: Int64?) -> (SpendCap, limit: Millicredits)? {
        switch which {
        case 1: caps.request.map { (.request, $0) }
        case 2: caps.session.map { (.session, $0) }
        case 3: caps.day.map { (.day, $0) }
        default: nil
        }
    }

    private mutating func placeRefused(_ id: HoldID, _ refusal: StoreRefusal, now: Moment) {
        self.note(refusal, of: "PLACE")
        switch refusal {
        case .noScript:
            self.decide(id) { machine in
                let reloads = machine.update(id) { hold in
                    hold.reloads += 1
                    return hold.reloads
                }
                guard let reloads, reloads <= 3, machine.isReady else {
                    return machine.end(id, .unavailable(.storeRefused))
                }
                machine.sendPlace(id)
            }
        case .notExecuted:
            self.breaker.failed(now: now)
            self.decide(id) { $0.end(id, .unavailable(.storeRefused)) }
        case .unknown:
            self.breaker.failed(now: now)
            self.placeBecameUnknown(id)
        }
    }

    /// The store said something that does not tell whether it holds anything: take it back.
    private mutating func placeBecameUnknown(_ id: HoldID) {
        guard let isWaitedFor = self.update(id, { $0.track.becameUnknown() }),
            self.phase(of: id) == .givingBack
        else { return }
        self.sendEnd(id)
        if isWaitedFor { self.answer(id, .unavailable(.storeRefused)) }
    }

    // MARK: Short (rule G4)

    private mutating func foundShort(
        _ id: HoldID, _ answer: PlaceAnswer, _ reply: HoldReply, now: Moment
    ) {
        let stamp = BalanceStamp(
            generation: reply.number(at: 2) ?? 0, version: reply.number(at: 3) ?? 0,
            gateVersion: reply.number(at: 4) ?? 0)
        self.decide(id) { machine in
            guard let hold = machine.live[id] else { return }
            // Refused with what the ledger knows (it was just read for this PLACE): that is final.
            let isVerified = hold.pendingRefusal != nil || hold.coldRounds > 0
            guard !isVerified, machine.has(.shortIsNeverFinal) else { return machine.end(id, answer) }
            machine.update(id) { $0.pendingRefusal = answer }
            machine.goToLedger(id, now: now)
            machine.act(.verifyShort(id, of: hold.request.account, seen: stamp))
        }
    }

    /// The answer to `verifyShort`, for PLACE and for EXTEND.
    ///
    /// - Parameter snapshot: nil: nothing newer is known, the refusal stands.
    public mutating func verified(_ id: HoldID, seen: BalanceStamp, _ snapshot: AccountSnapshot?) {
        if self.phase(of: id) == .held { return self.extensionVerified(id, snapshot) }
        guard let hold = self.live[id], hold.track.phase == .placing, !hold.track.placeIsOut,
            let refusal = hold.pendingRefusal
        else { return }
        guard let snapshot, seen.isOlder(than: snapshot), self.isReady else {
            return self.end(id, refusal)
        }
        self.saw(ledgerGeneration: snapshot.balance.generation)
        self.refresh(snapshot)
        self.sendPlace(id)
    }

    /// Tells the store what the ledger said.
    mutating func refresh(_ snapshot: AccountSnapshot, settled: [SettledHold] = []) {
        self.send(.posted(PostedAccount(balance: snapshot.balance, settled: settled)), .ignored)
        self.send(.gate(snapshot.gate), .ignored)
    }

    /// PLACE needs the ledger: it gets the longer deadline, once.
    mutating func goToLedger(_ id: HoldID, now: Moment) {
        let deadline = now + self.settings.ledgerDeadline
        self.update(id) { hold in
            guard !hold.isWithLedger else { return }
            hold.isWithLedger = true
            hold.deadline = deadline
        }
    }
}

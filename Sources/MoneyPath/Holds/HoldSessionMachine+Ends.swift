import Metering

/// Ends of holds, and everything that is sent again: always from the present state.
extension HoldSessionMachine {
    private static var retryFirst: Span { .milliseconds(100) }
    private static var retryMax: Span { .seconds(2) }

    /// CAPTURE or RELEASE, as the hold's state says; kept for later while there is no connection.
    mutating func sendEnd(_ id: HoldID) {
        let isReady = self.isReady
        let end = self.update(id) { hold -> (HoldCommand, HoldSlot, raise: Bool)? in
            hold.due = .distantFuture
            guard isReady, !hold.endIsOut else { return nil }
            switch hold.track.phase {
            case .captured:
                guard let settlement = hold.settlement.value else { return nil }
                hold.endIsOut = true
                return (.capture(settlement, force: hold.isForced), .capture(id), hold.mustRaise)
            case .givingBack:
                hold.endIsOut = true
                return (.release(id, of: hold.request.account), .release(id), hold.mustRaise)
            case .placing, .abandoned, .held, .over:
                return nil
            }
        }
        guard let (command, slot, raise) = end ?? nil else { return }
        self.send(command, slot, raise: raise)
    }

    mutating func captureAnswered(_ id: HoldID, _ reply: HoldReply, now: Moment) {
        self.update(id) { $0.endIsOut = false }
        guard let answer = reply.code, answer != -5 else {
            return self.endRefused(id, reply.refusal, "CAPTURE", now: now)
        }
        if answer == 2, self.captureGoesAgain(id) { return self.sendEnd(id) }
        switch self.update(id, { $0.track.captureAnswered(wrote: answer != 2) }) {
        case .forget?: self.forget(id)
        case .verifyThenForget?:
            let account = self.look(at: id) { $0.request.account }
            self.forget(id)
            guard let account, self.has(.verifyReassertedCapture) else { return }
            self.verifying[id] = account
            self.act(.readAccount(account, among: [id], .verifyCapture(id, attempt: 1)))
        case .ignore?, nil: break
        }
    }

    /// CAPTURE found no hold: POSTED came first, or the store lost it. An outcome that was decided while the epoch
    /// changed is in no REASSERT, and may be too late for the poster's recapture: then nobody but this session can
    /// write it, by force, and the ledger is asked afterwards (K6, from behind).
    private mutating func captureGoesAgain(_ id: HoldID) -> Bool {
        guard self.has(.reassertOnLoss), let hold = self.live[id], hold.track.phase == .captured,
            let epoch = hold.knownUnder
        else { return false }
        if epoch != self.nodeEpoch {
            self.update(id) { hold in
                hold.isForced = true
                hold.track.forced()
            }
            return true
        }
        // Whether the node is still the same is read in front of the second attempt.
        guard !hold.wasMissed else { return false }
        self.update(id) { $0.wasMissed = true }
        self.send(.readNode, .node(.judge))
        return true
    }

    mutating func releaseAnswered(_ id: HoldID, _ reply: HoldReply, now: Moment) {
        self.update(id) { $0.endIsOut = false }
        guard let answer = reply.code, answer != -5 else {
            return self.endRefused(id, reply.refusal, "RELEASE", now: now)
        }
        // A reaper may have had it and the store forgotten so: whoever comes that late says VOID in any case.
        let lateAfter = self.settings.touchEvery * 2
        let isLate = self.look(at: id) { now - $0.placedAt >= lateAfter } ?? false
        let isGone = answer == 1 || answer == 3 || isLate
        switch self.update(id, { $0.track.releaseAnswered(gone: isGone) }) {
        case .forget?: self.forget(id)
        case .recordVoid?:
            if self.has(.voidAfterUnknownPlace), let hold = self.live[id] {
                self.counts.unknownPlacesVoided += 1
                self.act(.record(hold.voidSettlement(owner: self.boot)))
            }
            self.forget(id)
        case .ignore?, nil: break
        }
    }

    /// An end is never given up: it goes out again after a pause.
    private mutating func endRefused(
        _ id: HoldID, _ refusal: StoreRefusal?, _ command: StaticString, now: Moment
    ) {
        guard let failures = self.look(at: id, { $0.failures }) else { return }
        self.note(refusal, of: command)
        self.update(id) { $0.failures += 1 }
        if refusal == .noScript, failures < 3 { return self.sendEnd(id) }
        if refusal == nil { self.act(.misunderstood(command: command)) }
        let pause = min(Self.retryFirst * (1 << Int64(min(failures, 8))), Self.retryMax)
        self.update(id) { $0.due = now + pause }
    }

    /// Rule K6, from behind: after the CAPTURE of a hold that was put back is acknowledged, the ledger is asked. If
    /// it has the hold, POSTED may have come too early, and comes again; if not, POSTED is still to come. So the
    /// settler never waits for the store.
    mutating func verifyCapture(
        _ id: HoldID, of account: AccountID, _ attempt: Int,
        _ result: Result<AccountSnapshot, LedgerReadFailure>
    ) {
        guard case .success(let snapshot) = result, self.isReady else {
            return self.act(
                .readAccount(account, among: [id], .verifyCapture(id, attempt: min(attempt + 1, 8))))
        }
        guard !snapshot.settled.isEmpty else {
            self.verifying[id] = nil
            return
        }
        self.send(
            .posted(PostedAccount(balance: snapshot.balance, settled: snapshot.settled)), .verified(id))
        self.send(.gate(snapshot.gate), .ignored)
    }

    // MARK: REASSERT and TOUCH

    public mutating func sendReassert(_ id: HoldID, raise: Bool, now: Moment) {
        guard self.isReady, let hold = self.live[id] else { return }
        let due = now + self.settings.touchEvery
        self.update(id) { hold in
            hold.track.reassertSent()
            hold.mustReassert = true
            hold.due = due
        }
        self.send(
            .reassert(hold.request, amount: hold.track.amount, progress: hold.progress), .reassert(id),
            raise: raise)
    }

    mutating func reassertAnswered(_ id: HoldID, _ reply: HoldReply, now: Moment) {
        guard let answer = reply.code, answer == 0 || answer == 1 else {
            return self.reassertRefused(id, reply.refusal, now: now)
        }
        let epoch = self.nodeEpoch
        self.update(id) { hold in
            hold.track.reassertAnswered()
            hold.mustReassert = false
            hold.mustRaise = false
            hold.failures = 0
            hold.knownUnder = epoch
        }
        if answer == 0 { self.counts.reasserted += 1 }
        // Of a captured hold, CAPTURE is what has to be acknowledged.
        if self.phase(of: id) != .captured { self.rejoined(id) }
    }

    /// Refused, fenced or not understood: it is not back, and goes again as a REASSERT.
    private mutating func reassertRefused(_ id: HoldID, _ refusal: StoreRefusal?, now: Moment) {
        self.update(id) { hold in
            hold.track.reassertAnswered()
            hold.due = now + (refusal == .noScript ? .zero : .seconds(1))
        }
        if refusal == nil { self.act(.misunderstood(command: "REASSERT")) }
        self.note(refusal, of: "REASSERT")
    }

    private mutating func sendTouch(_ id: HoldID, now: Moment) {
        guard let hold = self.live[id] else { return }
        let due = now + self.settings.touchEvery
        self.update(id) { hold in
            hold.due = due
            hold.touchIsOut = true
        }
        self.counts.touches += 1
        let command = HoldCommand.touch(
            id, of: hold.request.account, held: hold.track.amount, progress: hold.progress)
        self.send(command, .touch(id))
    }

    mutating func touchAnswered(_ id: HoldID, _ reply: HoldReply, now: Moment) {
        self.update(id) { $0.touchIsOut = false }
        guard self.phase(of: id) == .held else { return }
        if let refusal = reply.refusal {
            self.note(refusal, of: "TOUCH")
            self.update(id) { $0.due = now + .seconds(1) }
            return
        }
        switch reply.code {
        // Rule F9: the store lost it, or a reaper's estimate was posted while we were paused. The exchange goes on,
        // and its FINAL corrects the estimate.
        case 2: self.sendReassert(id, raise: false, now: now)
        // A reaper has it; once its POSTED took it, TOUCH answers 2.
        case 3:
            self.counts.takenOver += 1
            self.update(id) { $0.due = now + .seconds(1) }
        // It says how much is held, which an EXTEND without an answer may have raised.
        case 1: self.learnAmount(of: id, reply)
        default: break
        }
    }

    // MARK: Upkeep and reconnection

    /// Renewals, repeats and late deadlines that are due; to be called several times a second.
    public mutating func keepUp(now: Moment) {
        self.passDeadlines(now: now)
        for (id, hold) in self.due(now: now) {
            switch hold.track.phase {
            case .placing: self.deadlinePassed(id, now: now)
            case .held:
                self.keepUpExtension(id, now: now)
                guard self.isReady, hold.due <= now else { continue }
                if hold.mustRaise || hold.mustReassert {
                    self.sendReassert(id, raise: hold.mustRaise, now: now)
                } else if !hold.touchIsOut, self.has(.touch) {
                    self.sendTouch(id, now: now)
                }
            case .captured, .givingBack: self.sendEnd(id)
            case .abandoned, .over: break
            }
        }
    }

    private func due(now: Moment) -> [(HoldID, LiveHold)] {
        var due: [(HoldID, LiveHold)] = []
        for (id, hold) in self.live where hold.isDue(now: now) { due.append((id, hold)) }
        // The order of a dictionary is a matter of chance; a simulator must see the same one each time.
        return due.sorted { $0.0 < $1.0 }
    }

    /// Connected and greeted. Present state of everything goes out, with a raised fence, before anything new (K3).
    public mutating func connected(to node: NodeIdentity, now: Moment) {
        self.isReady = true
        self.breaker.reset()
        self.greeted(by: node)
        guard self.has(.reissue) else { return }
        // Their POSTED may be lost.
        for (id, account) in self.verifying.sorted(by: { $0.key < $1.key }) {
            self.act(.readAccount(account, among: [id], .verifyCapture(id, attempt: 1)))
        }
        for id in self.holdsInOrder {
            switch self.phase(of: id) {
            case .held:
                self.sendReassert(id, raise: true, now: now)
                self.sendExtend(id)
            case .captured, .givingBack: self.sendEnd(id)
            case .placing, .abandoned, .over, nil: break
            }
        }
    }

    /// The connection is gone, and with it every reply (K3).
    public mutating func lost() {
        self.isReady = false
        self.generation += 1
        self.coldLoads.removeAll()
        for id in self.holdsInOrder {
            let lost = self.update(id) { hold in
                hold.endIsOut = false
                hold.touchIsOut = false
                hold.extending?.isOut = false
                hold.extending?.isLoading = false
                hold.mustRaise = true
                hold.failures = 0
                return hold.track.connectionLost()
            }
            switch lost {
            case .answerAndRelease?: self.answer(id, .unavailable(.disconnected))
            case .answerAndForget?:
                self.end(id, self.live[id]?.pendingRefusal ?? .unavailable(.disconnected))
            case .keep?, nil: break
            case .forget?: self.forget(id)
            }
        }
    }
}

import Metering

/// Ends of holds, and everything that is sent again: always from the present state.
extension HoldSessionMachine {
    private static var retryFirst: Span { .milliseconds(100) }
    private static var retryMax: Span { .seconds(2) }

    /// CAPTURE or RELEASE, as the hold's state says; kept for later while there is no connection.
    mutating func sendEnd(_ id: HoldID) {
        guard let hold = self.live[id] else { return }
        self.update(id) { $0.due = .distantFuture }
        guard self.isReady, !hold.endIsOut else { return }
        switch hold.track.phase {
        case .captured:
            guard let settlement = hold.settlement else { return }
            self.update(id) { $0.endIsOut = true }
            self.send(.capture(settlement, force: false), .capture(id), raise: hold.mustRaise)
        case .givingBack:
            self.update(id) { $0.endIsOut = true }
            self.send(.release(id, of: hold.request.account), .release(id), raise: hold.mustRaise)
        case .placing, .abandoned, .held, .over:
            break
        }
    }

    mutating func captureAnswered(_ id: HoldID, _ reply: HoldReply, now: Moment) {
        self.update(id) { $0.endIsOut = false }
        guard let answer = reply.code, answer != -5 else {
            return self.endRefused(id, reply.refusal, "CAPTURE", now: now)
        }
        switch self.update(id, { $0.track.captureAnswered(wrote: answer != 2) }) {
        case .forget?: self.forget(id)
        case .verifyThenForget?:
            let account = self.live[id]?.request.account
            self.forget(id)
            guard let account, self.has(.verifyReassertedCapture) else { return }
            self.act(.readAccount(account, among: [id], .verifyCapture(id, attempt: 1)))
        case .ignore?, nil: break
        }
    }

    mutating func releaseAnswered(_ id: HoldID, _ reply: HoldReply, now: Moment) {
        self.update(id) { $0.endIsOut = false }
        guard let answer = reply.code, answer != -5 else {
            return self.endRefused(id, reply.refusal, "RELEASE", now: now)
        }
        switch self.update(id, { $0.track.releaseAnswered(gone: answer == 1 || answer == 3) }) {
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
        guard let failures = self.live[id]?.failures else { return }
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
        if !snapshot.settled.isEmpty { self.refresh(snapshot, settled: snapshot.settled) }
    }

    // MARK: REASSERT and TOUCH

    public mutating func sendReassert(_ id: HoldID, raise: Bool, now: Moment) {
        guard self.isReady, let hold = self.live[id] else { return }
        let due = now + self.settings.touchEvery
        self.update(id) { hold in
            hold.track.reassertSent()
            hold.due = due
        }
        self.send(
            .reassert(hold.request, amount: hold.track.amount, progress: hold.progress), .reassert(id),
            raise: raise)
    }

    mutating func reassertAnswered(_ id: HoldID, _ reply: HoldReply, now: Moment) {
        let refusal = reply.refusal
        self.update(id) { hold in
            hold.track.reassertAnswered()
            if let refusal {
                hold.due = now + (refusal == .noScript ? .zero : .seconds(1))
            } else {
                hold.mustRaise = false
                hold.failures = 0
            }
        }
        if let refusal { return self.note(refusal, of: "REASSERT") }
        if reply.code == 0 { self.counts.reasserted += 1 }
        self.rejoined(id)
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
        guard self.live[id]?.track.phase == .held else { return }
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
                guard self.isReady else { continue }
                if hold.mustRaise {
                    self.sendReassert(id, raise: true, now: now)
                } else if !hold.touchIsOut, self.has(.touch) {
                    self.sendTouch(id, now: now)
                }
            case .captured, .givingBack: self.sendEnd(id)
            case .abandoned, .over: break
            }
        }
    }

    private func due(now: Moment) -> [(HoldID, LiveHold<Ticket>)] {
        var due: [(HoldID, LiveHold<Ticket>)] = []
        for (id, hold) in self.live
        where hold.track.phase == .placing ? hold.deadline <= now : hold.due <= now {
            due.append((id, hold))
        }
        // The order of a dictionary is a matter of chance; a simulator must see the same one each time.
        return due.sorted { $0.0 < $1.0 }
    }

    /// Connected and greeted. Present state of everything goes out, with a raised fence, before anything new (K3).
    public mutating func connected(to node: NodeIdentity, now: Moment) {
        self.isReady = true
        self.breaker.reset()
        self.learn(node)
        guard self.has(.reissue) else { return }
        for id in self.holdsInOrder {
            switch self.live[id]?.track.phase {
            case .held: self.sendReassert(id, raise: true, now: now)
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

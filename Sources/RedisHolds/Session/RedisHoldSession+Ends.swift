import Metering
import NIOCore

/// Ends of holds, and everything that is sent again: always from the present state.
extension RedisHoldSession {
    private static let retryFirst: TimeAmount = .milliseconds(100)
    private static let retryMax: TimeAmount = .seconds(2)

    /// CAPTURE or RELEASE, as the hold's state says; kept for later while there is no connection.
    func sendEnd(_ hold: LiveHold) {
        hold.due = .distantFuture
        guard self.link.isReady, !hold.endIsOut else { return }
        let prefix = hold.mustRaise ? self.raisingPrefix : self.fencePrefix
        switch hold.track.phase {
        case .captured:
            guard let settlement = hold.settlement else { return }
            hold.endIsOut = true
            self.sendCapture(hold, settlement, prefix)
        case .givingBack:
            hold.endIsOut = true
            let bytes = prefix.count + self.ownerArgument.count + 36
            self.link.send(
                .release(hold), .release, of: hold.request.account, arguments: 5, argumentBytes: bytes
            ) { cursor in
                cursor.prepared(prefix)
                cursor.argument(hold.request.hold)
                cursor.prepared(self.ownerArgument)
            }
        case .placing, .abandoned, .held, .over:
            break
        }
    }

    private func sendCapture(_ hold: LiveHold, _ settlement: Settlement, _ prefix: [UInt8]) {
        let payload = settlement.encode()
        let bytes = prefix.count + payload.count + 80
        self.link.send(
            .capture(hold), .capture, of: hold.request.account, arguments: 7, argumentBytes: bytes
        ) { cursor in
            cursor.prepared(prefix)
            cursor.argument(0)  // force: only the epoch protocol writes a capture without its hold
            cursor.argument(hold.request.hold)
            cursor.argument(settlement.charge.amount.value)
            cursor.argument(payload)
        }
    }

    func captureAnswered(_ hold: LiveHold, _ reply: borrowing RedisReply) {
        hold.endIsOut = false
        guard let answer = reply.integer, answer != -5 else {
            return self.endRefused(hold, reply.refusal, "CAPTURE")
        }
        switch hold.track.captureAnswered(wrote: answer != 2) {
        case .forget: self.forget(hold)
        case .verifyThenForget:
            self.forget(hold)
            self.verifyCapture(hold, pause: Self.retryFirst)
        case .ignore: break
        }
    }

    func releaseAnswered(_ hold: LiveHold, _ reply: borrowing RedisReply) {
        hold.endIsOut = false
        guard let answer = reply.integer, answer != -5 else {
            return self.endRefused(hold, reply.refusal, "RELEASE")
        }
        switch hold.track.releaseAnswered(gone: answer == 1 || answer == 3) {
        case .forget: self.forget(hold)
        case .recordVoid:
            self.shared.counters.unknownPlacesVoided.add(1)
            self.shared.sink.recordUnreserved(hold.voidSettlement(owner: self.boot))
            self.forget(hold)
        case .ignore: break
        }
    }

    /// An end is never given up: it goes out again after a pause.
    private func endRefused(_ hold: LiveHold, _ refusal: StoreRefusal?, _ command: StaticString) {
        self.noteRefusal(refusal, of: command)
        if refusal == .noScript, hold.failures < 3 {
            hold.failures += 1
            return self.sendEnd(hold)
        }
        if refusal == nil {
            self.logger.error("an end was fenced or not understood", metadata: ["command": "\(command)"])
        }
        let pause = min(Self.retryFirst * (1 << min(hold.failures, 8)), Self.retryMax)
        hold.failures += 1
        hold.due = .now() + pause
    }

    /// Rule K6, from behind: after the CAPTURE of a hold that was put back is acknowledged, the ledger is
    /// asked. If it has the hold, POSTED may have come too early, and comes again; if not, POSTED is still to
    /// come.
    private func verifyCapture(_ hold: LiveHold, pause: TimeAmount) {
        let account = hold.request.account
        self.shared.accounts.snapshot(of: account, among: [hold.request.hold]) { result in
            self.loop.execute {
                guard case .success(let snapshot) = result, self.link.isReady else {
                    guard !self.isShuttingDown else { return }
                    self.loop.scheduleTask(in: pause) {
                        self.verifyCapture(hold, pause: min(pause * 2, .seconds(10)))
                    }
                    return
                }
                if !snapshot.settled.isEmpty { self.refresh(snapshot, settled: snapshot.settled) }
            }
        }
    }

    // MARK: REASSERT and TOUCH

    func sendReassert(_ hold: LiveHold, raise: Bool) {
        guard self.link.isReady else { return }
        hold.track.reassertSent()
        hold.due = .now() + self.settings.touchEvery
        let prefix = raise ? self.raisingPrefix : self.fencePrefix
        let request = hold.request
        let bytes =
            prefix.count + self.leaseArguments.count + request.priceID.utf8.count
            + request.endpoint.rawValue.utf8.count + 36 + 2 * CommandCursor.integerBytesMax
        self.link.send(.reassert(hold), .reassert, of: request.account, arguments: 8, argumentBytes: bytes) {
            cursor in
            cursor.prepared(prefix)
            cursor.argument(request.hold)
            cursor.argument(hold.track.amount.value)
            cursor.prepared(self.leaseArguments)
            cursor.meta(of: request)
        }
    }

    func reassertAnswered(_ hold: LiveHold, _ reply: borrowing RedisReply) {
        hold.track.reassertAnswered()
        if let refusal = reply.refusal {
            self.noteRefusal(refusal, of: "REASSERT")
            hold.due = .now() + (refusal == .noScript ? .zero : .seconds(1))
            return
        }
        if reply.integer == 0 { self.shared.counters.holdsReasserted.add(1) }
        hold.mustRaise = false
        hold.failures = 0
    }

    private func sendTouch(_ hold: LiveHold) {
        hold.due = .now() + self.settings.touchEvery
        hold.touchIsOut = true
        let prefix = self.fencePrefix
        let bytes = prefix.count + self.leaseArguments.count + 36 + CommandCursor.integerBytesMax
        self.link.send(
            .touch(hold), .extend, of: hold.request.account, arguments: 11, argumentBytes: bytes
        ) { cursor in
            cursor.prepared(prefix)
            cursor.argument(hold.request.hold)
            cursor.argument(hold.track.amount.value)
            cursor.prepared(self.leaseArguments)
            cursor.emptyArgument()  // progress, as it was
            cursor.emptyArgument()
            cursor.emptyArgument()
            cursor.emptyArgument()
        }
    }

    func touchAnswered(_ hold: LiveHold, _ reply: borrowing RedisReply) {
        hold.touchIsOut = false
        guard hold.track.phase == .held else { return }
        if let refusal = reply.refusal {
            self.noteRefusal(refusal, of: "TOUCH")
            hold.due = .now() + .seconds(1)
            return
        }
        // Rule F9 in its simple form. A hold that a reaper took over (3) is its owner's again once POSTED
        // took it.
        if reply.integer(at: 0) == 2 { self.sendReassert(hold, raise: false) }
    }

    // MARK: Upkeep and reconnection

    /// Renewals, repeats and late deadlines that are due.
    func keepUp(now: NIODeadline) {
        self.link.checkStall(now: now)
        for hold in Array(self.live.values) {
            switch hold.track.phase {
            case .placing:
                if hold.deadline <= now { self.deadlinePassed(hold, now: now) }
            case .held:
                guard hold.due <= now, self.link.isReady else { continue }
                if hold.mustRaise {
                    self.sendReassert(hold, raise: true)
                } else if !hold.touchIsOut {
                    self.sendTouch(hold)
                }
            case .captured, .givingBack:
                if hold.due <= now { self.sendEnd(hold) }
            case .abandoned, .over:
                break
            }
        }
        self.noteBreaker()
    }

    /// Rule K3, first half: the connection is gone, and with it every reply.
    func connectionLost(_ hold: LiveHold) {
        hold.endIsOut = false
        hold.touchIsOut = false
        hold.mustRaise = true
        hold.failures = 0
        switch hold.track.connectionLost() {
        case .answerAndRelease: self.answer(hold, .unavailable(.disconnected))
        case .answerAndForget: self.end(hold, hold.pendingRefusal ?? .unavailable(.disconnected))
        case .keep: break
        case .forget: self.forget(hold)
        }
    }

    /// Rule K3, second half: the present state of everything, with a raised fence, before anything new.
    func reissueAll() {
        for hold in Array(self.live.values) {
            switch hold.track.phase {
            case .held: self.sendReassert(hold, raise: true)
            case .captured, .givingBack: self.sendEnd(hold)
            case .placing, .abandoned, .over: break
            }
        }
    }
}

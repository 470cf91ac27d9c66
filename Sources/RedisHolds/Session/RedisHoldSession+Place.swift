import Metering
import NIOCore

extension RedisHoldSession {
    func sendPlace(_ hold: LiveHold) {
        self.checkLedgerGeneration()
        hold.track.placeSent()
        let request = hold.request
        let bytes =
            self.placePrefix.count + self.leaseArguments.count + request.priceID.utf8.count
            + request.endpoint.rawValue.utf8.count + 36 + 7 * CommandCursor.integerBytesMax
        self.link.send(.place(hold), .place, of: request.account, arguments: 12, argumentBytes: bytes) {
            cursor in
            cursor.prepared(self.placePrefix)
            cursor.argument(request.hold)
            cursor.argument(request.want.value)
            cursor.argument(request.least.value)
            cursor.prepared(self.leaseArguments)
            cursor.meta(of: request)
            cursor.argument(request.caps.request)
            cursor.argument(request.caps.session)
            cursor.argument(request.caps.day)
        }
    }

    func placeAnswered(_ hold: LiveHold, _ reply: borrowing RedisReply) {
        if let refusal = reply.refusal { return self.placeRefused(hold, refusal) }
        self.breaker.succeeded()
        self.noteBreaker()
        switch reply.integer(at: 0) {
        case 0, 1: self.granted(hold, reply)
        case -1: self.decide(hold) { self.foundCold($0) }
        case -2:
            let available = Self.money(reply.integer(at: 1))
            self.foundShort(hold, .short(available: available), reply)
        case -3: self.foundShort(hold, .blocked, reply)
        case -4:
            let answer = Self.capAnswer(
                hold.request.caps, which: reply.integer(at: 1), reset: reply.integer(at: 2))
            self.decide(hold) { self.end($0, answer) }
        case 2, -5:
            // Captured already, or fenced: only a mistake of ours can bring that about.
            self.logger.error("PLACE of a hold that cannot be placed")
            self.decide(hold) { self.end($0, .unavailable(.storeRefused)) }
        default:
            self.placeBecameUnknown(hold)
        }
    }

    /// Runs `next` if somebody waits for this PLACE; otherwise nothing is held and nothing is left to do.
    private func decide(_ hold: LiveHold, _ next: (LiveHold) -> Void) {
        switch hold.track.notGranted() {
        case .decide: next(hold)
        case .forget: self.forget(hold)
        case .ignore: break
        }
    }

    private func granted(_ hold: LiveHold, _ reply: borrowing RedisReply) {
        guard let value = reply.integer(at: 1), let amount = Millicredits(exactly: value), amount >= .zero
        else {
            return self.placeBecameUnknown(hold)
        }
        switch hold.track.granted(amount) {
        case .answer:
            hold.due = .now() + self.settings.touchEvery
            self.shared.counters.holdsOpen.add(1)
            self.answer(hold, .granted(amount: amount, balance: Self.money(reply.integer(at: 2))))
        case .giveBack:
            self.shared.counters.lateGrantsReleased.add(1)
            self.sendEnd(hold)
        case .ignore:
            break
        }
    }

    /// Out-of-range figures of an answer that does not decide about money are shown as the nearest bound.
    private static func money(_ value: Int64?) -> Millicredits {
        let bound = Millicredits.magnitudeMax
        return Millicredits(max(-bound, min(bound, value ?? 0)))
    }

    private static func capAnswer(_ caps: SpendCaps, which: Int64?, reset: Int64?) -> PlaceAnswer {
        let named: (SpendCap, Millicredits?)? =
            switch which {
            case 1: (.request, caps.request)
            case 2: (.session, caps.session)
            case 3: (.day, caps.day)
            default: nil
            }
        guard let (cap, limit) = named, let limit else { return .unavailable(.storeRefused) }
        return .capReached(cap, limit: limit, resetsAtMilliseconds: reset ?? 0)
    }

    private func placeRefused(_ hold: LiveHold, _ refusal: StoreRefusal) {
        self.noteRefusal(refusal, of: "PLACE")
        switch refusal {
        case .noScript:
            self.decide(hold) { hold in
                hold.reloads += 1
                guard hold.reloads <= 3, self.link.isReady else {
                    return self.end(hold, .unavailable(.storeRefused))
                }
                self.sendPlace(hold)
            }
        case .notExecuted:
            self.breaker.failed(now: .now())
            self.decide(hold) { self.end($0, .unavailable(.storeRefused)) }
        case .unknown:
            self.breaker.failed(now: .now())
            self.placeBecameUnknown(hold)
        }
        self.noteBreaker()
    }

    /// The store said something that does not tell whether it holds anything: take it back.
    private func placeBecameUnknown(_ hold: LiveHold) {
        let isWaitedFor = hold.track.becameUnknown()
        guard hold.track.phase == .givingBack else { return }
        self.sendEnd(hold)
        if isWaitedFor { self.answer(hold, .unavailable(.storeRefused)) }
    }

    // MARK: Short (rule G4)

    private func foundShort(_ hold: LiveHold, _ answer: PlaceAnswer, _ reply: borrowing RedisReply) {
        let stamp = BalanceStamp(
            generation: reply.integer(at: 2) ?? 0, version: reply.integer(at: 3) ?? 0,
            gateVersion: reply.integer(at: 4) ?? 0)
        self.decide(hold) { hold in
            // Refused with what the ledger knows (it was just read for this PLACE): that is final.
            if hold.pendingRefusal != nil || hold.coldRounds > 0 { return self.end(hold, answer) }
            hold.pendingRefusal = answer
            self.goToLedger(hold)
            self.shared.verifier.verify(hold.request.account, seen: stamp) { outcome in
                if self.loop.inEventLoop {
                    self.verified(hold, stamp, outcome)
                } else {
                    self.loop.execute { self.verified(hold, stamp, outcome) }
                }
            }
        }
    }

    private func verified(_ hold: LiveHold, _ seen: BalanceStamp, _ outcome: ShortVerifier.Outcome) {
        guard hold.track.phase == .placing, !hold.track.placeIsOut, let refusal = hold.pendingRefusal else {
            return
        }
        guard case .known(let snapshot) = outcome, seen.isOlder(than: snapshot), self.link.isReady else {
            return self.end(hold, refusal)
        }
        self.shared.epochs.saw(generation: snapshot.balance.generation)
        self.refresh(snapshot)
        self.sendPlace(hold)
    }

    /// Tells the store what the ledger said; nothing is settled by it.
    func refresh(_ snapshot: AccountSnapshot, settled: [SettledHold] = []) {
        let balance = snapshot.balance
        self.link.send(
            .ignored, .posted, of: balance.account, arguments: 3 + 2 * settled.count,
            argumentBytes: 60 + settled.count * 56
        ) { cursor in
            cursor.argument(balance.generation)
            cursor.argument(balance.version)
            cursor.argument(balance.balance.value)
            for hold in settled {
                cursor.argument(hold.hold)
                cursor.argument(hold.amount.value)
            }
        }
        let gate = snapshot.gate
        self.link.send(.ignored, .gate, of: gate.account, arguments: 3, argumentBytes: 60) { cursor in
            cursor.argument(gate.version)
            cursor.argument(gate.floor.value)
            cursor.argument(gate.blocked ? 1 : 0)
        }
    }
}

import Metering
import MoneyPath

/// Rules that are judged in the moment, not at rest: what happens afterwards may hide that one was broken.
extension World {
    // MARK: Grants

    /// The store granted PLACE or EXTEND.
    ///
    /// - Parameter generation: of the ledger, as the sender knew it when it sent.
    func judgeGrant(
        _ command: HoldCommand, by session: SimSession, _ fence: HoldFence, _ generation: Int64,
        _ state: StoreNode
    ) {
        switch command {
        case .place(let request):
            self.judgeCaps(request.caps, of: request.account, for: request.hold, in: state)
            self.judgeFunds(of: request.account, for: request.hold, in: state)
            self.judgeGrant(request.hold, of: request.account, by: session, fence, generation, state)
        case .extend(let hold, let account, _, _, let caps):
            // Came so late that its exchange has ended without it: CAPTURE frees what it raised.
            guard self.truth.exchanges[hold]?.decided == nil else { return }
            self.judgeCaps(caps, of: account, for: hold, in: state)
            self.judgeFunds(of: account, for: hold, in: state)
            self.judgeGrant(hold, of: account, by: session, fence, generation, state)
        default: break
        }
    }

    private func judgeGrant(
        _ hold: HoldID, of account: AccountID, by session: SimSession, _ fence: HoldFence,
        _ generation: Int64, _ state: StoreNode
    ) {
        guard let hash = state.accounts[account] else { return }
        if let known = hash.ledger?.generation, known < generation {
            self.fail("granted on a balance of generation \(known), known was \(generation)", hold: hold)
        }
        // A command of a dead connection says nothing about the session as it is now.
        guard session.link.isUp, session.machine.generation == fence.generation else { return }
        for (other, exchange) in session.process.exchanges
        where exchange.account == account && exchange.session == session.number && other != hold {
            // What was settled for it may have dropped it (E4).
            guard exchange.machine.isHeld, hash.holds[other] == nil, hash.captures[other] == nil,
                let known = self.truth.exchanges[other], known.estimate == nil
            else { continue }
            self.fail("\(hold) was granted while a hold of the same session was not back (E2)", hold: other)
        }
    }

    /// With all that is set aside and not posted, the balance stays above its floor, but for what DESIGN §8 allows.
    /// Where accounts are rich nobody would notice.
    private func judgeFunds(of account: AccountID, for hold: HoldID, in state: StoreNode) {
        guard self.isPoor, !self.truth.isWaived(hold),
            let amount = state.accounts[account]?.holds[hold]?.amount.value,
            let balance = self.ledger.model.accounts[account]?.balance
        else { return }
        let open = self.truth.exchanges.reduce(amount) { sum, entry in
            let (other, exchange) = entry
            let key = LedgerModel.Key(account: account, hold: other)
            guard exchange.account == account, other != hold, self.ledger.model.settled(key) == nil else {
                return sum
            }
            if let outcome = exchange.decided { return sum + outcome.charge.amount.value }
            return exchange.died || exchange.isWaived ? sum : sum + (exchange.granted?.value ?? 0)
        }
        let least = self.balanceLeast(of: account)
        guard balance - open < least else { return }
        self.fail("admitted too much: of \(balance) are \(open) set aside, allowed is \(least)", hold: hold)
    }

    /// Rule A12: charges of the window, and all that is set aside, stay within the caps, but for what the store lost
    /// and for usage above its hold.
    private func judgeCaps(
        _ caps: SpendCaps, of account: AccountID, for hold: HoldID, in state: StoreNode
    ) {
        guard caps != .none, let amount = state.accounts[account]?.holds[hold]?.amount.value else { return }
        if let cap = caps.request?.value, amount > cap {
            self.fail("\(amount) are held for one request, its cap is \(cap)", hold: hold)
        }
        let allowed = self.truth.capAllowance[account] ?? 0
        let now = self.nowMilliseconds
        for (cap, since) in [
            (caps.session, now - 3_600_000), (caps.day, now / 86_400_000 * 86_400_000 - 1),
        ] {
            guard let cap = cap?.value else { continue }
            let used = amount + self.truth.used(account, after: since, without: hold)
            if used > cap + allowed {
                self.fail("\(used) are spent or held, the cap is \(cap), allowed \(allowed)", hold: hold)
            }
        }
    }

    /// At rest nothing is held, so a cap is reached by what was charged; lost data may be counted twice, never more.
    func mayBeReached(_ cap: SpendCap, of account: AccountID) -> Bool {
        let spent = self.ledger.counted(account)
        let caps = self.caps[account] ?? .none
        switch cap {
        case .request: return false
        case .session: return spent * 2 >= (caps.session?.value ?? .max) / 2
        case .day: return spent * 2 >= (caps.day?.value ?? .max) / 2
        }
    }

    // MARK: The dead

    /// Rule F1: dead is whose counter stood still for the grace while the observer's heartbeats succeeded.
    func judgeDeath(of boot: BootID, seenBy observer: SimProcess) {
        guard let beatAt = observer.beatsSeen[boot], self.isAlive(boot) else { return }
        let stoodStill = Span(nanoseconds: observer.beatHeardAt - max(beatAt, observer.observingSince))
        guard stoodStill < SimSettings.grace else { return }
        self.fail(
            "\(boot) was taken for dead, its heart was seen to stand still for \(stoodStill.milliseconds) ms")
    }

    /// Rule F2: an owner that reaches the store keeps its hold, whatever else is cut off.
    func judgeTakeOver(_ hold: HoldID, from owner: HoldOwner) {
        // What another reaper took while its owner slept stays taken when the owner wakes.
        guard owner.reaper == nil,
            let process = self.processes.last(where: { $0.boot == owner.boot }), process.isAlive,
            !process.isPaused, let exchange = process.exchanges[hold], exchange.machine.isHeld
        else { return }
        // As long as a lease lasts, its renewals came through.
        let since = self.time - SimSettings.lease.nanoseconds
        guard process.runningSince < since, self.leaptAt < since,
            process.sessions[exchange.session].link.isSteady(for: SimSettings.lease)
        else { return }
        self.fail("a hold was taken from an owner that lives and renews it (F2)", hold: hold)
    }

    private func isAlive(_ boot: BootID) -> Bool {
        self.processes.contains { $0.boot == boot && $0.isAlive }
    }
}

extension Truth {
    /// Charged since then, and set aside now.
    func used(_ account: AccountID, after since: Int64, without hold: HoldID) -> Int64 {
        var used: Int64 = 0
        for (other, exchange) in self.exchanges where exchange.account == account && other != hold {
            if let outcome = exchange.decided {
                if exchange.decidedAtMilliseconds > since { used += outcome.counted.value }
            } else if !exchange.died {
                used += exchange.granted?.value ?? 0
            }
        }
        return used
    }
}

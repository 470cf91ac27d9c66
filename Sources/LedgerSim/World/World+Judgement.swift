import Metering
import MoneyPath

/// Rules that hold at rest: each exchange is charged what DESIGN §4 and §8 say, and nothing is left anywhere.
extension World {
    func judge() {
        for (hold, exchange) in self.truth.exchanges.sorted(by: { $0.key < $1.key }) {
            self.judge(hold, exchange)
            guard self.failure == nil else { return }
        }
        if let violation = self.ledger.model.violations().first { return self.fail("ledger: \(violation)") }
        if !self.ledger.model.conflicts.isEmpty {
            return self.fail(
                "two different final outcomes of one hold", hold: self.ledger.model.conflicts.first?.hold)
        }
        if !self.ledger.model.quarantine.isEmpty {
            return self.fail("an outcome is in quarantine", hold: self.ledger.model.quarantine.first?.hold)
        }
        self.judgeBalances()
        self.judgeStore()
    }

    private func judge(_ hold: HoldID, _ exchange: Truth.Exchange) {
        let key = LedgerModel.Key(account: exchange.account, hold: hold)
        let row = self.ledger.model.settled(key)
        let charged = row?.amount
        let hasJournal = self.truth.hasJournal(exchange.boot)
        guard let outcome = exchange.decided else {
            return self.judgeUndecided(hold, exchange, row, hasJournal)
        }
        let due = outcome.charge.amount
        if exchange.clientSawEnd,
            hasJournal || exchange.isCaptured && !exchange.storeLost && self.truth.accidents == 0
        {
            guard charged == due || due == .zero && charged == nil else {
                return self.fail(
                    "a reply that ended costs \(due) and was charged \(charged.map { "\($0)" } ?? "nothing")",
                    hold: hold)
            }
            // Also what is not charged has its usage, its cost and what it would have been charged.
            guard outcome.kind == .void || row?.digest == outcome.digest else {
                return self.fail(
                    "a reply that ended as \(outcome.kind.name) counts as another outcome: "
                        + "\(row.map { "\($0.kind.name) of authority \($0.authority.rawValue)" } ?? "none")",
                    hold: hold)
            }
            return
        }
        let held = exchange.isWaived ? .zero : exchange.granted ?? .zero
        guard charged ?? .zero <= max(due, held) else {
            return self.fail("charged more than the hold", hold: hold)
        }
        guard
            row != nil || outcome.counted == .zero || exchange.storeLost
                || self.truth.powerLost.contains(exchange.boot)
                || self.truth.accidents > 0
        else {
            return self.fail("a reply that ended was never charged", hold: hold)
        }
    }

    private func judgeUndecided(
        _ hold: HoldID, _ exchange: Truth.Exchange, _ row: LedgerEntry?, _ hasJournal: Bool
    ) {
        let charged = row?.amount
        guard exchange.died || exchange.granted == nil || self.isAbandoned(hold) else {
            return self.fail("an exchange neither ended nor died", hold: hold)
        }
        let input = Millicredits(exchange.input)
        if hasJournal {
            if let due = exchange.journalEstimate {
                guard charged == due else {
                    return self.fail(
                        "its journal says \(due), charged \(charged.map { "\($0)" } ?? "nothing")", hold: hold
                    )
                }
                guard !exchange.isWaived || row?.kind == .waived && row?.shadow == exchange.journalShadow
                else {
                    return self.fail("its journal has it as waived, the ledger has \(row as Any)", hold: hold)
                }
            } else if exchange.isSent {
                self.fail("it went upstream, and its journal does not know", hold: hold)
            } else if charged ?? .zero != .zero {
                self.fail("charged \(charged ?? .zero) for a request that was never sent", hold: hold)
            }
            return
        }
        let served = Millicredits(exchange.input + exchange.servedOutput)
        guard charged ?? .zero <= (exchange.isWaived ? .zero : max(input, served)) else {
            return self.fail("charged more than was served", hold: hold)
        }
        let mustBeCharged =
            exchange.isSent && exchange.input > 0 && !exchange.storeLost && self.truth.accidents == 0
            && !self.truth.powerLost.contains(exchange.boot)
        if mustBeCharged, charged == nil { self.fail("served and never charged", hold: hold) }
    }

    /// The client left while its hold was placed.
    private func isAbandoned(_ hold: HoldID) -> Bool {
        !self.instances.contains { $0.process.exchanges[hold] != nil }
    }

    private func judgeBalances() {
        for (account, state) in self.ledger.model.accounts.sorted(by: { $0.key < $1.key }) {
            let least = self.balanceLeast(of: account)
            if state.balance < least {
                let last = self.truth.exchanges.filter { hold, exchange in
                    let key = LedgerModel.Key(account: account, hold: hold)
                    return exchange.account == account
                        && self.ledger.model.settled(key)?.amount ?? .zero > .zero
                }.keys.max()
                self.fail(
                    "overspent: balance \(state.balance), allowed \(least)", hold: last, account: account)
            }
        }
    }

    func balanceLeast(of account: AccountID) -> Int64 {
        (self.ledger.floorLeast[account] ?? 0) - (self.truth.allowance[account] ?? 0)
    }

    private func judgeStore() {
        for account in self.store.node.accountIDs.sorted() {
            if let problem = self.store.node.problem(of: account) {
                self.fail("store: \(problem)", account: account)
            }
            guard let stored = self.store.node.balance(of: account),
                let ledger = self.ledger.model.balance(of: account),
                stored.generation == ledger.generation
            else { continue }
            if stored.version > ledger.version
                || stored.version == ledger.version && stored.balance != ledger.balance
            {
                self.fail(
                    "the store has \(stored.balance) at version \(stored.version), the ledger "
                        + "\(ledger.balance) at \(ledger.version)", account: account)
            }
        }
    }

    /// A command reaches the store: everything that is said to it goes through here, so every story tells of it.
    func execute(
        _ command: HoldCommand, _ fence: HoldFence, epoch: String = "", owner: BootID,
        on state: inout StoreNode, at now: Int64
    ) -> HoldReply {
        let reply = state.execute(
            command, fence: fence, epoch: epoch, owner: owner, lease: SimSettings.lease, nowMilliseconds: now)
        self.executed(command, fence, reply)
        return reply
    }

    private func executed(_ command: HoldCommand, _ fence: HoldFence, _ reply: HoldReply) {
        switch command {
        case .capture(let settlement, _):
            if reply.code == 0 || reply.code == 3 { self.truth.captured(settlement.hold) }
            self.tell(
                settlement.hold,
                "store: CAPTURE \(settlement.charge.amount) by \(fence.loop.suffix(4))/\(fence.generation) → \(reply.code ?? -99)"
            )
        case .place(let request):
            self.tell(
                request.hold,
                "store: PLACE by \(fence.loop.suffix(4))/\(fence.generation) → \(reply.code ?? -99)")
        case .release(let hold, _):
            self.tell(
                hold, "store: RELEASE by \(fence.loop.suffix(4))/\(fence.generation) → \(reply.code ?? -99)")
        case .reassert(let request, let amount, _):
            self.tell(
                request.hold,
                "store: REASSERT \(amount) by \(fence.loop.suffix(4))/\(fence.generation) raise \(fence.raise) → \(reply.code ?? -99)"
            )
        case .touch(let hold, _, _, _): self.tell(hold, "store: TOUCH → \(reply.code ?? -99)")
        case .extend(let hold, _, let total, _, _):
            self.tell(hold, "store: EXTEND to \(total) → \(reply.code ?? -99)")
        case .posted(let posting):
            for settled in posting.settled {
                self.tell(settled.hold, "store: POSTED \(settled.amount), version \(posting.balance.version)")
            }
        case .readNode, .load, .initialize, .gate: break
        }
    }
}

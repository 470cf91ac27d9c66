import Metering
import MoneyPath

/// Reaper, self-sweep, and the journals of boots that ended on this host.
extension SimProcess {
    // MARK: Recovery (J1, J8)

    func recoverDirectories() {
        guard self.world.has(.recovery) else { return }
        let disk = self.instance.disk
        for (boot, segments) in disk.directories.sorted(by: { $0.key < $1.key }) where boot != self.boot {
            let ended: RecoveredBoot<SimSegment>
            do {
                ended = try RecoveredBoot(segments, of: boot)
            } catch {
                self.world.fail("the journal of \(boot) cannot be recovered: \(error)")
                return
            }
            self.recovered[boot] = ended.unpostedHolds
            self.recoveredOpens[boot] = ended.openedHolds
            guard !disk.recovered.contains(boot), !self.handedOver.contains(where: { $0.boot == boot }) else {
                continue
            }
            var handOver = ended.handOver()
            guard case .copied(_, let through) = handOver.proceed({ self.record($0, reserved: false) }) else {
                self.after(.seconds(1)) { self.recoverDirectories() }
                return
            }
            self.handedOver.append((boot, through))
        }
        self.markRecovered()
    }

    /// A boot needs no recovery any more when what it handed over is on the disk.
    func markRecovered() {
        for (boot, through) in self.handedOver where through <= self.journal.durableSequence {
            self.instance.disk.recovered.insert(boot)
        }
        self.handedOver.removeAll { $0.through <= self.journal.durableSequence }
    }

    /// Rule F8.
    private func voidUnopened() {
        guard self.world.has(.voidUnopened) else { return }
        self.voidOwnUnopened()
        guard !self.recovered.isEmpty else { return }
        let boots = Set(self.recovered.keys)
        let opened = self.recoveredOpens.values.reduce(into: Set<HoldID>()) { $0.formUnion($1) }
        self.world.ledger.ask(self, { $0.model.standingEstimates(of: boots, notIn: opened) }) { result in
            for estimate in (try? result.get()) ?? [] { self.void(estimate) }
        }
    }

    /// As `Sweeper.voidOwnUnopened`: read, look, read again.
    private func voidOwnUnopened() {
        let boot = self.boot
        self.world.ledger.ask(self, { $0.model.standingEstimates(of: [boot], notIn: []) }) { result in
            let standing = Set(((try? result.get()) ?? []).map(\.hold))
            let unknown = standing.subtracting(self.known(among: standing))
            guard !unknown.isEmpty else { return }
            self.world.ledger.ask(self, { $0.model.standingEstimates(of: [boot], notIn: []) }) { again in
                for estimate in (try? again.get()) ?? [] where unknown.contains(estimate.hold) {
                    self.foundLeftOver(estimate.hold)
                    self.void(estimate)
                }
            }
        }
    }

    private func void(_ estimate: LedgerEntry) {
        self.record(
            .void(
                of: estimate.hold, account: estimate.account, owner: estimate.owner, endpoint: .chat,
                priceID: SimPrice.model.priceID), reserved: false)
    }

    /// Holds that something here will end.
    private func known(among holds: Set<HoldID>) -> Set<HoldID> {
        var known = self.queue.unfinishedHolds.among(holds).union(self.outbox.untoldHolds)
        for session in self.sessions {
            known.formUnion(session.machine.live.keys)
            known.formUnion(session.machine.verifying.keys)
        }
        return known.union(self.exchanges.keys)
    }

    // MARK: Sweep (F2–F7)

    func beginSweep() {
        guard self.world.has(.sweep), !self.isSweeping, self.sweeper.isUp else { return }
        self.voidUnopened()
        self.isSweeping = true
        // A pass that lost its connection is over.
        self.after(.seconds(2)) { self.isSweeping = false }
        self.sweeper.ask { state, _ in
            state.accountIDs.sorted().map { state.listed($0) }
        } then: { accounts in
            for account in accounts { self.sweep(account) }
            self.isSweeping = false
        }
    }

    private func owner(_ boot: BootID) -> Sweep.Owner {
        if boot == self.boot { return .me }
        if self.recovered[boot] != nil { return .recovered }
        guard self.liveness.isDead(boot, now: self.now) else { return .live }
        self.world.judgeDeath(of: boot, seenBy: self)
        return .dead
    }

    /// A later boot copied it and died before it was posted, and our journal has no room for that copy yet.
    private func awaitsHandOver(_ hold: HoldID) -> Bool {
        let disk = self.instance.disk
        return self.recovered.contains { !disk.recovered.contains($0.key) && $0.value.contains(hold) }
    }

    private func isOpened(_ boot: BootID, _ hold: HoldID) -> Bool {
        self.recovered[boot]?.contains(hold) ?? false
    }

    private func sweep(_ account: StoredAccount) {
        if account.holds.isEmpty, account.captures.isEmpty {
            guard self.world.random.oneIn(3) else { return }
            return self.sweeper.ask { state, now in
                state.evict(
                    account.account, idleSecondsMin: SimSettings.evictIdleSeconds, nowMilliseconds: now)
            } then: {
                if $0 { self.world.count(.eviction) }
            }
        }
        let ids = account.holds.map(\.hold) + account.captures.map(\.hold)
        let known = self.known(among: Set(ids))
        let steps = self.sweep.steps(
            for: account, known: known.contains, owner: self.owner, opened: self.isOpened)
        self.perform(steps, account)
    }

    private func perform(_ steps: [Sweep.Step], _ account: StoredAccount) {
        for step in steps { self.perform(step, account) }
    }

    private func perform(_ step: Sweep.Step, _ account: StoredAccount) {
        let (boot, world) = (self.boot, self.world)
        switch step {
        case .record(let settlement):
            world.tell(settlement.hold, "\(self.name): sweep records \(settlement.kind.name)")
            // What a journal has as acknowledged, the store was told; the rest was handed over and is known. What found
            // no room in it is known from the store only.
            if settlement.authority == .owner, settlement.kind == .final,
                self.recovered[settlement.owner] != nil,
                world.truth.hasJournal(settlement.owner),
                world.truth.exchanges[settlement.hold]?.isJournaled == true,
                self.instance.disk.recovered.contains(settlement.owner),
                !self.awaitsHandOver(settlement.hold),
                // What was listed may be posted meanwhile.
                world.store.node.accounts[account.account]?.captures[settlement.hold] != nil
            {
                self.foundLeftOver(settlement.hold)
            }
            // Whoever settles a hold has reaped it before; if not, its owner may live.
            if settlement.authority == .reaper,
                let owner = account.holds.first(where: { $0.hold == settlement.hold })?.owner
            {
                world.judgeTakeOver(settlement.hold, from: owner)
            }
            self.record(settlement, reserved: false)
        case .reap(let hold, let dead):
            self.sweeper.ask { state, now in
                let reaped = state.reapStored(
                    hold, of: account.account, from: dead, by: boot, nowMilliseconds: now)
                if reaped != nil { world.judgeTakeOver(hold, from: dead) }
                return reaped
            } then: { reaped in
                if reaped != nil { world.tell(hold, "\(self.name): reaped") }
                self.perform(self.sweep.reaped(reaped, of: account.account), account)
            }
        case .lookUp(let holds):
            world.ledger.ask(self, { $0.snapshot(of: account.account, among: holds) }) { result in
                guard case .success(let snapshot?) = result else { return }
                let steps = self.sweep.read(
                    holds, settled: snapshot.settled, in: account, opened: self.isOpened)
                for step in steps {
                    guard case .posted(let settled) = step else {
                        self.perform(step, account)
                        continue
                    }
                    self.tell(PostedAccount(balance: snapshot.balance, settled: settled), of: account)
                }
            }
        case .release(let hold, let owner):
            let fence = HoldFence(loop: "\(boot).s", generation: 1, raise: false)
            self.sweeper.ask { state, now in
                let command = HoldCommand.release(hold, of: account.account)
                return world.execute(command, fence, owner: owner, on: &state, at: now)
            } then: { reply in
                if owner == boot, reply.code == 0 { self.foundLeftOver(hold) }
                guard let stored = account.holds.first(where: { $0.hold == hold }) else { return }
                let steps = self.sweep.released(
                    stored, of: account.account, takenOver: reply.code == 3)
                self.perform(steps, account)
            }
        case .posted: preconditionFailure("lookUp handles what it brings about")
        case .unreadable(let hold): world.fail("an unreadable capture", hold: hold)
        }
    }

    private func tell(_ posting: PostedAccount, of account: StoredAccount) {
        let (boot, world) = (self.boot, self.world)
        let fence = HoldFence(loop: "\(boot).s", generation: 1, raise: false)
        let captures = account.captures.filter { $0.settlement?.owner == boot }.map(\.hold)
        let holds = account.holds.filter { $0.owner == HoldOwner(boot) }.map(\.hold)
        self.sweeper.ask { state, now in
            let command = HoldCommand.posted(posting)
            let before = state.accounts[account.account] ?? AccountHash()
            _ = world.execute(command, fence, owner: boot, on: &state, at: now)
            let after = state.accounts[account.account] ?? AccountHash()
            return captures.filter { before.captures[$0] != nil && after.captures[$0] == nil }
                + holds.filter { before.holds[$0] != nil && after.holds[$0] == nil }
        } then: { ended in
            for hold in ended { self.foundLeftOver(hold) }
        }
    }

    /// The self-sweep is the net under everything (MONEY_PATH E): with it, a leak lasts one sweep. So what it finds
    /// tells of a guard that did not hold, unless the store itself brought the entry back.
    private func foundLeftOver(_ hold: HoldID) {
        guard self.world.truth.exchanges[hold]?.storeLost == false,
            !self.world.truth.unfinishedAtDeath.contains(hold)
        else { return }
        self.world.fail("the self-sweep found an entry that its owner had ended", hold: hold)
    }
}

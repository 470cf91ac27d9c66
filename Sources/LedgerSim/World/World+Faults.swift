import Metering
import MoneyPath

extension World {
    /// Something happens to somebody.
    func causeFault() {
        let instance = self.instances[self.random.below(self.instances.count)]
        switch self.settings.profile.pick(self.random.below(100)) {
        case .connection: self.store.cutOneLink()
        case .storeLoss:
            switch self.random.below(10) {
            case 0..<4: self.store.flush()
            case 4..<7: self.store.restart()
            default: self.store.rollBack()
            }
        case .failOver: self.store.failOver()
        case .stall: self.store.stall()
        case .kill: instance.kill(losingDisk: false, losingPower: false)
        case .diskLoss: instance.kill(losingDisk: true, losingPower: false)
        case .powerLoss: instance.kill(losingDisk: false, losingPower: true)
        case .pause: instance.pause()
        case .ledgerDown: self.ledger.goDown()
        case .ledgerCut: instance.cutLedgerOff()
        case .leap: self.leap()
        case .ledgerRollBack: self.ledger.rollBack()
        case .diskFull: instance.fillDisk()
        case .money: self.change(self.ledger.purchase())
        case .adjustment: self.change(self.ledger.adjust())
        case .gate: self.change(self.ledger.suspendOrResume())
        case .replica: self.store.attachReplica()
        case .eviction: self.store.evictSomething()
        case .flag: if !self.changeFlags() { self.store.cutOneLink() }
        }
    }

    /// The ledger committed a change; whoever listens tells the store, unless that gets lost (rule G2).
    private func change(_ snapshot: AccountSnapshot?) {
        guard let snapshot else { return }
        guard self.random.oneIn(2) else { return self.count(.purchaseRefreshLost) }
        guard let process = self.instances[self.random.below(self.instances.count)].process else { return }
        process.after(.milliseconds(self.random.between(1, 100))) { process.refresh(snapshot) }
    }
}

extension SimProcess {
    /// POSTED and GATE of a change that is no settlement.
    func refresh(_ snapshot: AccountSnapshot) {
        let (boot, world) = (self.boot, self.world)
        let fence = HoldFence(loop: "\(boot).p", generation: self.posterGeneration, raise: false)
        let commands = [
            HoldCommand.posted(PostedAccount(balance: snapshot.balance, settled: [])), .gate(snapshot.gate),
        ]
        for command in commands {
            self.poster.ask { state, now in
                _ = world.execute(command, fence, owner: boot, on: &state, at: now)
            } then: {
            }
        }
    }
}

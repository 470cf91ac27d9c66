import Metering
import MoneyPath

extension World {
    /// Something happens to somebody.
    func causeFault() {
        let instance = self.instances[self.random.below(self.instances.count)]
        switch self.random.below(100) {
        case 0..<24: self.store.cutOneLink()
        case 24..<28: self.store.flush()
        case 28..<31: self.store.restart()
        case 31..<34: self.store.rollBack()
        case 34..<37: self.store.failOver()
        case 37..<42: self.store.stall()
        case 42..<47: instance.kill(losingDisk: false, losingPower: false)
        case 47..<50: instance.kill(losingDisk: true, losingPower: false)
        case 50..<54: instance.kill(losingDisk: false, losingPower: true)
        case 54..<63: instance.pause()
        case 63..<67: self.ledger.goDown()
        case 67..<70: self.ledger.rollBack()
        case 70..<73: instance.fillDisk()
        case 73..<86: self.change(self.ledger.purchase())
        case 86..<90: self.change(self.ledger.adjust())
        case 90..<95: self.change(self.ledger.suspendOrResume())
        default: self.store.evictSomething()
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
                let reply = state.execute(
                    command, fence: fence, epoch: "", owner: boot, lease: SimSettings.lease,
                    nowMilliseconds: now)
                world.executed(command, fence, reply)
            } then: {}
        }
    }
}

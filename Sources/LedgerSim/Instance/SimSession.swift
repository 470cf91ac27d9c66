import Metering
import MoneyPath

/// The shell of the real session machine: actions become messages, replies become events.
final class SimSession {
    unowned let process: SimProcess
    let number: Int
    var machine: HoldSessionMachine
    private(set) var link: SimLink! = nil
    private var isPerforming = false
    private var armedFor: Moment?

    init(number: Int, _ process: SimProcess) {
        self.number = number
        self.process = process
        var settings = HoldSessionSettings()
        settings.touchEvery = SimSettings.touchEvery
        settings.guards.subtract(process.world.settings.without.session)
        self.machine = HoldSessionMachine(boot: process.boot, loop: number, settings: settings)
        self.link = SimLink(process.world, process) { [unowned self] node in
            self.machine.saw(ledgerGeneration: self.process.ledgerGeneration)
            self.machine.connected(to: node, now: self.process.now)
            self.perform()
        } lost: { [unowned self] in
            // A connection that died before its greeting was none to the machine.
            if self.machine.isReady { self.machine.lost() }
            self.perform()
        }
    }

    func place(_ request: PlaceRequest) {
        self.machine.saw(ledgerGeneration: self.process.ledgerGeneration)
        if let why = self.machine.place(request, now: self.process.now) {
            self.process.placed(request.hold, .unavailable(why))
        }
        self.perform()
    }

    /// - Returns: false: no answer will follow.
    func extend(_ hold: HoldID, to total: Millicredits) -> Bool {
        self.machine.saw(ledgerGeneration: self.process.ledgerGeneration)
        defer { self.perform() }
        return self.machine.extend(hold, to: total, now: self.process.now)
    }

    func capture(_ settlement: Settlement) {
        self.machine.capture(settlement, now: self.process.now)
        self.perform()
    }

    func release(_ hold: HoldID, isRecorded: Bool) {
        self.machine.release(hold, isRecorded: isRecorded)
        self.perform()
    }

    func progressed(_ hold: HoldID, _ charge: Millicredits) { self.machine.progressed(hold, charge: charge) }

    func saw(ledgerGeneration: Int64) {
        self.machine.saw(ledgerGeneration: ledgerGeneration)
        self.perform()
    }

    func checkEpoch() {
        self.machine.checkEpoch()
        self.perform()
    }

    func open(_ epoch: String) {
        self.machine.open(epoch)
        self.perform()
    }

    func keepUp() {
        self.machine.keepUp(now: self.process.now)
        self.perform()
    }

    private func perform() {
        guard !self.isPerforming else { return }
        self.isPerforming = true
        while let action = self.machine.nextAction() { self.perform(action) }
        self.isPerforming = false
        self.armDeadline()
    }

    private func perform(_ action: HoldSessionMachine.Action) {
        switch action {
        case .send(let command, let slot, let raise): self.send(command, slot, raise)
        case .answer(let hold, let answer): self.process.placed(hold, answer)
        case .extended(let hold, let answer): self.process.extended(hold, answer)
        case .record(let settlement): self.process.record(settlement, reserved: false)
        case .readAccount(let account, let holds, let purpose): self.read(account, holds, purpose)
        case .verifyShort(let hold, let account, let seen): self.verify(hold, account, seen)
        case .reconnect: self.link.die(serverGone: false)
        case .misunderstood(let command):
            self.process.world.fail("a session was fenced by itself: \(command)")
        case .reloadScripts, .refused: break
        case .sawEpoch(let epoch):
            self.process.perform(self.process.gate.saw(epoch, session: self.number, now: self.process.now))
            if self.process.gate.isOpen { self.machine.open(epoch) }
        case .joined(let epoch):
            self.process.perform(self.process.gate.joined(epoch, session: self.number, now: self.process.now))
        case .sawGeneration(let generation): self.process.saw(ledgerGeneration: generation)
        }
    }

    private func send(_ command: HoldCommand, _ slot: HoldSlot, _ raise: Bool) {
        let (fence, epoch) = (self.machine.fence(raise: raise), self.machine.epoch)
        let (boot, world) = (self.process.boot, self.process.world)
        let generation = self.machine.ledgerGeneration
        self.link.ask { state, now in
            let reply = world.execute(command, fence, epoch: epoch, owner: boot, on: &state, at: now)
            if reply.code == 0 { world.judgeGrant(command, by: self, fence, generation, state) }
            return reply
        } then: { reply in
            self.machine.replied(slot, reply, now: self.process.now)
            self.perform()
        }
    }

    private func read(_ account: AccountID, _ holds: [HoldID], _ purpose: AccountReadPurpose) {
        var pause = Span.zero
        if case .verifyCapture(_, let attempt) = purpose, attempt > 1 { pause = .milliseconds(50 << attempt) }
        self.process.after(pause) {
            self.process.world.ledger.ask(self.process, { $0.snapshot(of: account, among: holds) }) {
                result in
                let read: Result<AccountSnapshot, LedgerReadFailure>
                switch result {
                case .success(let snapshot?): read = .success(snapshot)
                case .success(nil): read = .failure(.noSuchAccount)
                case .failure: read = .failure(.unreachable)
                }
                self.machine.accountRead(account, purpose, read)
                self.perform()
            }
        }
    }

    private func verify(_ hold: HoldID, _ account: AccountID, _ seen: BalanceStamp) {
        self.process.verify(account, seen) { snapshot in
            self.machine.verified(hold, seen: seen, snapshot)
            self.perform()
        }
    }

    private func armDeadline() {
        guard let next = self.machine.nextDeadline, self.armedFor == nil else { return }
        self.armedFor = next
        self.process.after(next - self.process.now) {
            self.armedFor = nil
            self.machine.passDeadlines(now: self.process.now)
            self.perform()
        }
    }
}

extension SimProcess {
    /// The verification that all sessions of a process share (rule G4).
    func verify(_ account: AccountID, _ seen: BalanceStamp, _ reply: @escaping (AccountSnapshot?) -> Void) {
        switch self.verifier.short(account, seen: seen, now: self.now) {
        case .stands: reply(nil)
        case .useKnown(let snapshot): reply(snapshot)
        case .wait: self.verifying[account, default: []].append(reply)
        case .read:
            self.verifying[account, default: []].append(reply)
            self.world.ledger.ask(self, { $0.snapshot(of: account, among: []) }) { result in
                let snapshot = (try? result.get()) ?? nil
                self.verifier.finished(account, snapshot)
                for waiting in self.verifying.removeValue(forKey: account) ?? [] { waiting(snapshot) }
            }
        }
    }
}

import Metering
import NIOCore

/// Cold accounts (rules E1, E3): the store does not know the account, or may have forgotten something of it.
extension RedisHoldSession {
    func foundCold(_ hold: LiveHold) {
        hold.coldRounds += 1
        guard hold.coldRounds <= self.settings.coldRoundsMax else {
            return self.end(hold, .unavailable(.storeRefused))
        }
        self.goToLedger(hold)
        let account = hold.request.account
        if let load = self.coldLoads[account] {
            guard load.waiters.count < self.settings.coldWaitersMax else {
                return self.end(hold, .unavailable(.storeRefused))
            }
            load.waiters.append(hold)
            return
        }
        let load = ColdLoad(account: account)
        load.waiters.append(hold)
        self.coldLoads[account] = load
        self.begin(load)
    }

    /// The epoch key is read on the same connection before LOAD, so what INIT stamps is not older than the
    /// data.
    private func begin(_ load: ColdLoad) {
        load.rounds += 1
        guard load.rounds <= self.settings.coldRoundsMax, self.link.isReady else {
            return self.fail(load, .storeRefused)
        }
        self.shared.counters.coldLoads.add(1)
        self.link.send(.ignored, command: ["SET", Greeting.epochKeyName, Greeting.freshEpochKey(), "NX"])
        self.link.send(.epochKey, command: ["GET", Greeting.epochKeyName])
        self.link.send(.load(load), .load, of: load.account, arguments: 1, argumentBytes: 40) { cursor in
            cursor.argument(Greeting.freshEpochKey())
        }
    }

    func epochKeyAnswered(_ reply: borrowing RedisReply) {
        guard let key = reply.text, !key.isEmpty else { return self.noteRefusal(reply.refusal, of: "GET") }
        guard key != self.greeting.epochKey else { return }
        var greeting = self.greeting
        greeting.epochKey = key
        self.learn(greeting)
        self.logger.warning("redis lost its data; live holds are put back")
        // Rule E2 in its simple form: what this session holds is back before any account is loaded.
        for hold in self.live.values where hold.track.phase == .held { self.sendReassert(hold, raise: false) }
    }

    func loadAnswered(_ load: ColdLoad, _ reply: borrowing RedisReply) {
        guard self.isCurrent(load) else { return }
        if let refusal = reply.refusal { return self.refused(load, refusal, of: "LOAD") }
        guard let incarnation = reply.text(at: 0), !incarnation.isEmpty else {
            return self.fail(load, .storeRefused)
        }
        load.incarnation = incarnation
        let holds = stride(from: 1, to: reply.count, by: 2).compactMap { index in
            reply.text(at: index).flatMap { HoldID(text: $0.dropFirst(2)) }
        }
        self.shared.accounts.snapshot(of: load.account, among: holds) { result in
            self.loop.execute { self.initialize(load, result) }
        }
    }

    private func initialize(_ load: ColdLoad, _ result: Result<AccountSnapshot, LedgerReadFailure>) {
        guard self.isCurrent(load), self.link.isReady else { return }
        guard case .success(let snapshot) = result else { return self.fail(load, .ledgerUnreachable) }
        self.shared.epochs.saw(generation: snapshot.balance.generation)
        self.checkLedgerGeneration()
        // A ledger older than one that was seen (an old primary that still answers) must not be stamped as
        // new.
        guard snapshot.balance.generation == self.knownLedgerGeneration else {
            return self.fail(load, .ledgerUnreachable)
        }
        self.sendInit(load, snapshot)
    }

    private func sendInit(_ load: ColdLoad, _ snapshot: AccountSnapshot) {
        let (balance, gate, settled) = (snapshot.balance, snapshot.gate, snapshot.settled)
        self.link.send(
            .initialize(load), .initialize, of: load.account, arguments: 10 + 2 * settled.count,
            argumentBytes: load.incarnation.utf8.count + 200 + settled.count * 56
        ) { cursor in
            cursor.argument(load.incarnation)
            cursor.argument(self.epoch)
            cursor.argument(balance.generation)
            cursor.argument(balance.version)
            cursor.argument(balance.balance.value)
            cursor.argument(gate.version)
            cursor.argument(gate.floor.value)
            cursor.argument(gate.blocked ? 1 : 0)
            cursor.argument(snapshot.spentLastHour.value)
            cursor.argument(snapshot.spentToday.value)
            for hold in settled {
                cursor.argument(hold.hold)
                cursor.argument(hold.amount.value)
            }
        }
    }

    func initializeAnswered(_ load: ColdLoad, _ reply: borrowing RedisReply) {
        guard self.isCurrent(load) else { return }
        if let refusal = reply.refusal { return self.refused(load, refusal, of: "INIT") }
        guard reply.integer == 0 else { return self.begin(load) }
        self.coldLoads[load.account] = nil
        for hold in load.waiters where hold.track.phase == .placing { self.sendPlace(hold) }
    }

    private func refused(_ load: ColdLoad, _ refusal: StoreRefusal, of command: StaticString) {
        self.noteRefusal(refusal, of: command)
        // LOAD and INIT may be repeated whatever became of the first: the incarnation decides.
        if refusal == .noScript { return self.begin(load) }
        self.fail(load, .storeRefused)
    }

    private func isCurrent(_ load: ColdLoad) -> Bool { self.coldLoads[load.account] === load }

    private func fail(_ load: ColdLoad, _ reason: HoldsUnavailable) {
        self.coldLoads[load.account] = nil
        for hold in load.waiters where hold.track.phase == .placing { self.end(hold, .unavailable(reason)) }
    }
}

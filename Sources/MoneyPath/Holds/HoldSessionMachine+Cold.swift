import Metering

/// Cold accounts (rules E1, E3): the store does not know the account, or may have forgotten something of it.
extension HoldSessionMachine {
    mutating func foundCold(_ id: HoldID, now: Moment) {
        guard let account = self.live[id]?.request.account else { return }
        let rounds = self.update(id) { hold in
            hold.coldRounds += 1
            return hold.coldRounds
        }
        guard let rounds, rounds <= self.settings.coldRoundsMax else {
            return self.end(id, .unavailable(.storeRefused))
        }
        self.goToLedger(id, now: now)
        guard self.coldLoads[account]?.waiters.count ?? 0 < self.settings.coldWaitersMax else {
            return self.end(id, .unavailable(.storeRefused))
        }
        self.load(account, for: id)
    }

    /// For a PLACE, or for an EXTEND; one load serves all that wait for it.
    mutating func load(_ account: AccountID, for waiter: HoldID) {
        guard self.coldLoads[account] == nil else {
            self.coldLoads[account]?.waiters.append(waiter)
            return
        }
        self.loadsBegun += 1
        self.coldLoads[account] = ColdLoad(number: self.loadsBegun, waiters: [waiter])
        self.begin(account)
    }

    /// The node is read behind LOAD, on the same connection. What was lost before LOAD shows in that reading, so INIT
    /// cannot stamp an epoch that knows nothing of it; what is lost later takes the incarnation with it, and INIT does
    /// nothing.
    private mutating func begin(_ account: AccountID) {
        guard var load = self.coldLoads[account] else { return }
        load.rounds += 1
        load.incarnation = ""
        self.coldLoads[account] = load
        guard load.rounds <= self.settings.coldRoundsMax, self.isReady else {
            return self.fail(account, .storeRefused)
        }
        self.counts.coldLoads += 1
        let nonce = "\(self.fence(raise: false).loop).\(self.generation).\(load.number).\(load.rounds)"
        self.send(.load(account, nonce: nonce), .load(account, number: load.number))
        self.send(.readNode, .node(.load(account, number: load.number)))
    }

    mutating func loadAnswered(_ account: AccountID, _ number: Int64, _ reply: HoldReply) {
        guard self.isCurrent(account, number) else { return }
        if let refusal = reply.refusal { return self.refused(account, refusal, of: "LOAD") }
        guard case .listing(let incarnation, let holds) = reply, !incarnation.isEmpty else {
            return self.fail(account, .storeRefused)
        }
        self.coldLoads[account]?.incarnation = incarnation
        self.coldLoads[account]?.listed = holds
    }

    /// The reading behind LOAD. Whatever else it brought about is done.
    ///
    /// - Parameter isKnown: false: the node did not say what it is.
    mutating func loadJudged(_ account: AccountID, _ number: Int64, isKnown: Bool) {
        // Without an incarnation LOAD itself did nothing, and goes again or has failed.
        guard self.isCurrent(account, number), let load = self.coldLoads[account], !load.incarnation.isEmpty
        else { return }
        guard isKnown else { return self.fail(account, .storeRefused) }
        self.act(.readAccount(account, among: load.listed, .load(number: number)))
    }

    /// The answer to `readAccount`.
    public mutating func accountRead(
        _ account: AccountID, _ purpose: AccountReadPurpose,
        _ result: Result<AccountSnapshot, LedgerReadFailure>
    ) {
        switch purpose {
        case .load(let number): self.initialize(account, number, result)
        case .verifyCapture(let hold, let attempt): self.verifyCapture(hold, of: account, attempt, result)
        }
    }

    private mutating func initialize(
        _ account: AccountID, _ number: Int64, _ result: Result<AccountSnapshot, LedgerReadFailure>
    ) {
        guard self.isCurrent(account, number), self.isReady, let load = self.coldLoads[account] else {
            return
        }
        guard case .success(let snapshot) = result else { return self.fail(account, .ledgerUnreachable) }
        self.saw(ledgerGeneration: snapshot.balance.generation)
        // A ledger older than one that was seen (an old primary that still answers) must not be stamped as new.
        guard snapshot.balance.generation == self.ledgerGeneration else {
            return self.fail(account, .ledgerUnreachable)
        }
        self.coldLoads[account]?.epoch = self.epoch
        self.send(
            .initialize(
                account, incarnation: load.incarnation, epoch: self.epoch, self.sparingLive(snapshot)),
            .initialize(account, number: number))
    }

    /// Rule E4: a hold that an exchange here still uses can only be settled by an estimate, made while we were paused: it
    /// stays. (Those of others come back with their next TOUCH.)
    private func sparingLive(_ snapshot: AccountSnapshot) -> AccountSnapshot {
        var snapshot = snapshot
        snapshot.settled.removeAll { self.live[$0.hold]?.track.phase == .held }
        return snapshot
    }

    mutating func initializeAnswered(_ account: AccountID, _ number: Int64, _ reply: HoldReply) {
        guard self.isCurrent(account, number) else { return }
        if let refusal = reply.refusal { return self.refused(account, refusal, of: "INIT") }
        guard reply.code == 0 else { return self.begin(account) }
        guard let load = self.coldLoads.removeValue(forKey: account) else { return }
        for id in load.waiters {
            self.loaded(id, under: load.epoch)
            guard self.isPlacing(id) else { continue }
            // The load found out that the store lost its data: other holds may not be back yet (E2).
            if self.isAdmitting { self.sendPlace(id) } else { self.end(id, .unavailable(.recovering)) }
        }
    }

    private mutating func refused(_ account: AccountID, _ refusal: StoreRefusal, of command: StaticString) {
        self.note(refusal, of: command)
        // LOAD and INIT may be repeated whatever became of the first: the incarnation decides.
        if refusal == .noScript { return self.begin(account) }
        self.fail(account, .storeRefused)
    }

    private func isCurrent(_ account: AccountID, _ number: Int64) -> Bool {
        self.coldLoads[account]?.number == number
    }

    private func isPlacing(_ id: HoldID) -> Bool {
        self.live[id].map { $0.track.phase == .placing && !$0.track.placeIsOut } ?? false
    }

    private mutating func fail(_ account: AccountID, _ reason: HoldsUnavailable) {
        let waiters = self.coldLoads.removeValue(forKey: account)?.waiters ?? []
        for id in waiters {
            // An EXTEND asks again, until its deadline.
            self.update(id) { $0.extending?.isLoading = false }
            if self.isPlacing(id) { self.end(id, .unavailable(reason)) }
        }
    }
}

import Metering
import MoneyPath

/// Journal, settler and poster.
extension SimProcess {
    // MARK: Journal

    func prepareSpare() {
        while self.journal.wantsSpare {
            guard !self.instance.disk.isFull else { return self.journal.spareFailed() }
            let spare = SimSegment(id: self.journal.nextSpareID, capacity: SimDisk.segmentBytes)
            self.instance.disk.directories[self.boot, default: []].append(spare)
            self.journal.add(spare: spare)
            guard self.journal.lastSequence == 0 else { continue }
            self.journal.begin()
            spare.sync()
            if let sync = self.journal.nextSync() { self.journal.synced(sync) }
        }
    }

    /// Group commit: what was written is synced a moment later.
    func wrote() {
        self.prepareSpare()
        guard !self.isSyncing else { return }
        self.isSyncing = true
        self.after(.milliseconds(10)) {
            self.isSyncing = false
            guard let sync = self.journal.nextSync() else { return }
            if self.world.isFaulty, self.world.random.oneIn(150) {
                self.world.count(.syncFailed)
                _ = self.journal.syncFailed(sync.segment.id)
            } else {
                sync.segment.sync()
                self.journal.synced(sync)
                self.markRecovered()
            }
            self.wrote()
        }
    }

    /// An outcome, into journal and queue. Returns its place in the journal; nil: that is full.
    @discardableResult
    func record(_ settlement: Settlement, reserved: Bool) -> UInt64? {
        let sequence = self.journal.end(settlement, reserved: reserved)
        self.world.truth.recorded(settlement, by: self.boot, journaled: sequence != nil)
        self.world.tell(
            settlement.hold,
            "\(self.name): records \(settlement.kind.name) \(settlement.charge.amount), journal "
                + (sequence.map { "\($0)" } ?? "full"))
        self.wrote()
        _ = self.queue.record(PendingOutcome(settlement, sequence: sequence), now: self.now)
        self.settleSoon()
        return sequence
    }

    var name: String { "instance \(self.instance.number)" }

    // MARK: Settler

    func settleSoon() {
        guard !self.isSettling else { return }
        switch self.queue.next(now: self.now, draining: false) {
        case .idle, .busy: break
        case .read(let from, let limit):
            let page = self.journal.backlog(from: from, limit: limit).read()
            let action = self.queue.refill(page, from: from, limit: limit, now: self.now)
            precondition(action == .refilled, "this disk loses nothing that was written")
            self.settleSoon()
        case .wait(let until):
            self.isSettling = true
            self.after(until - self.now) {
                self.isSettling = false
                self.settleSoon()
            }
        case .send(let batch): self.settle(batch)
        }
    }

    private func settle(_ batch: [Settlement]) {
        self.isSettling = true
        self.world.ledger.ask(self, { $0.settle(batch) }) { result in
            self.isSettling = false
            switch result {
            case .success(let receipt):
                let through = self.queue.committed()
                for settlement in batch where self.withheld.remove(settlement.hold) != nil {
                    self.world.truth.clientSawEnd(settlement.hold)
                }
                self.outbox.add(batch, receipt, through: through)
                if !self.world.has(.acknowledgeAfterPosted), let through {
                    self.journal.acknowledge(through: through)
                }
                for balance in receipt.balances { self.saw(ledgerGeneration: balance.generation) }
                self.postSoon()
                self.settleSoon()
            case .failure:
                _ = self.queue.failed(now: self.now, jitter: self.world.random.below(25))
                self.settleSoon()
            }
        }
    }

    /// A new generation of the ledger gets everything that the journals of this host retain.
    func replayJournals(for generation: Int64) {
        var batches: [[Settlement]] = []
        var reading = self.journal.outcomes(from: 1)
        while case let outcomes = reading.next(limit: 40), !outcomes.isEmpty {
            batches.append(outcomes.map(\.settlement))
        }
        // Whether or not their recovery has come to them yet.
        let ended = self.instance.disk.directories.sorted { $0.key < $1.key }.filter { $0.key != self.boot }
        for (boot, segments) in ended {
            guard let ended = try? RecoveredBoot(segments, of: boot) else { continue }
            var retained = ended.retained()
            while case let outcomes = retained.next(limit: 40), !outcomes.isEmpty {
                batches.append(outcomes.map(\.settlement))
            }
        }
        self.replay(batches[...], for: generation)
    }

    private func replay(_ batches: ArraySlice<[Settlement]>, for generation: Int64) {
        // A newer generation has begun its own replay.
        guard generation == self.ledgerGeneration else { return }
        guard let batch = batches.first else {
            self.instance.disk.generation = generation
            return
        }
        self.world.ledger.ask(self, { $0.settle(batch) }) { result in
            switch result {
            case .success(let receipt):
                self.outbox.add(batch, receipt, through: nil)
                self.postSoon()
                self.replay(batches.dropFirst(), for: generation)
            case .failure:
                self.after(.milliseconds(200)) { self.replay(batches, for: generation) }
            }
        }
    }

    // MARK: Poster

    func posterReady(_ node: NodeIdentity) {
        self.sawNode(node)
        self.perform(self.recapture.resume(self.unposted, now: self.now))
        self.postSoon()
    }

    func posterLost() {
        self.posterGeneration += 1
        guard self.isPosting else { return }
        self.postingEnded(isAcknowledged: false)
    }

    func postSoon() {
        guard !self.isPosting, self.poster.isUp, case .post(let postings) = self.outbox.next(now: self.now)
        else { return }
        self.isPosting = true
        var left = postings.count
        let (boot, world) = (self.boot, self.world)
        let fence = HoldFence(loop: "\(boot).p", generation: self.posterGeneration, raise: false)
        for posting in postings {
            self.recapture.told(posting)
            self.poster.ask { state, now in
                let command = HoldCommand.posted(posting)
                return world.execute(command, fence, owner: boot, on: &state, at: now)
            } then: { _ in
                left -= 1
                if left == 0 { self.postingEnded(isAcknowledged: true) }
            }
        }
    }

    private func postingEnded(isAcknowledged: Bool) {
        self.isPosting = false
        guard isAcknowledged else {
            guard case .again(let pause) = self.outbox.failed(now: self.now, draining: false) else { return }
            return self.after(pause) { self.postSoon() }
        }
        if let through = self.outbox.acknowledged(), self.world.has(.acknowledgeAfterPosted) {
            self.journal.acknowledge(through: through)
            self.wrote()
        }
        self.postSoon()
    }

    // MARK: Epoch gate

    func perform(_ actions: [EpochGate.Action]) {
        for action in actions {
            switch action {
            case .checkSessions: for session in self.sessions { session.checkEpoch() }
            case .recapture(let epoch):
                self.perform(self.recapture.begin(epoch, self.unposted, now: self.now))
            case .announce(let epoch):
                let boot = self.boot
                self.poster?.ask { state, _ in
                    state.join(epoch, boot)
                } then: { _ in
                    self.ask(epoch)
                }
            case .ask(let epoch): self.ask(epoch)
            case .open(let epoch): for session in self.sessions { session.open(epoch) }
            }
        }
        guard !self.gate.isOpen, !self.isGateTicking else { return }
        self.isGateTicking = true
        self.after(EpochGate.askEvery) {
            self.isGateTicking = false
            self.perform(self.gate.tick(now: self.now))
        }
    }

    private func ask(_ epoch: String) {
        self.poster?.ask { state, _ in
            state.members(epoch)
        } then: { members in
            self.perform(self.gate.members(epoch, members, now: self.now))
        }
    }

    var unposted: Recapture.Unposted {
        Recapture.Unposted(self.queue.unposted, isWhole: !self.queue.hasSpilled)
    }

    func perform(_ actions: [Recapture.Action]) {
        for action in actions {
            switch action {
            case .send(.capture(let outcome), let slot): self.send(.capture(outcome, force: true), slot)
            case .send(.post(let posting), let slot): self.send(.posted(posting), slot)
            case .reloadScripts: break
            case .finished(let epoch): self.perform(self.gate.recaptured(epoch, now: self.now))
            }
        }
    }

    private func send(_ command: HoldCommand, _ slot: Recapture.Slot) {
        let (boot, world) = (self.boot, self.world)
        let fence = HoldFence(loop: "\(boot).p", generation: self.posterGeneration, raise: true)
        self.poster?.ask { state, now in
            return world.execute(command, fence, owner: boot, on: &state, at: now)
        } then: { reply in
            self.perform(self.recapture.answered(slot, reply, now: self.now))
        }
    }

    func pollNode() {
        self.poster.ask { state, _ in
            state.nodeIdentity()
        } then: {
            self.sawNode($0)
        }
    }

    private func sawNode(_ node: NodeIdentity) {
        guard node != self.node else { return }
        let isFirst = self.node == NodeIdentity()
        self.node = node
        if !isFirst { for session in self.sessions { session.checkEpoch() } }
    }
}

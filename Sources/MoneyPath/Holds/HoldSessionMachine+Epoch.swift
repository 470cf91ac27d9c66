import Metering

/// Data-loss protocol of one session (rules E1, E2).
extension HoldSessionMachine {
    /// A greeting. What the process knows of this session may be older than a lost connection, so it is told again.
    mutating func greeted(by node: NodeIdentity) {
        guard !self.learn(node) else { return }
        if !self.isAdmitting { self.act(.sawEpoch(node.nodeEpoch)) }
        if self.hasJoined { self.act(.joined(node.nodeEpoch)) }
    }

    /// true: the node is under another epoch than the one that was known.
    private mutating func learn(_ node: NodeIdentity) -> Bool {
        let isNews = node.nodeEpoch != self.nodeEpoch || !self.hasSeenNode
        self.node = node
        self.epoch = node.epoch(ledgerGeneration: self.has(.epoch) ? self.ledgerGeneration : 0)
        guard isNews else { return false }
        self.hasJoined = false
        self.act(.sawEpoch(node.nodeEpoch))
        // A CAPTURE under way may find that its hold is gone, and has to be repeated by force.
        self.rejoining = Set(
            self.live.lazy.filter { $0.value.track.phase == .held || $0.value.track.phase == .captured }
                .map(\.key))
        self.joinIfComplete()
        return true
    }

    private var hasSeenNode: Bool { !self.epoch.isEmpty }

    /// Asks the node whether it still is what it was; another session, or a process, saw a change.
    public mutating func checkEpoch() {
        guard self.isReady else { return }
        self.send(.readNode, .node(.check))
    }

    mutating func nodeAnswered(_ purpose: NodeReadingPurpose, _ reply: HoldReply, now: Moment) {
        if case .node(let node) = reply {
            if self.learn(node) { self.changed(now: now) } else { self.stayed(purpose) }
        } else {
            if reply.refusal == nil { self.act(.misunderstood(command: "INFO")) }
            self.note(reply.refusal, of: "INFO")
        }
        guard case .load(let account, let number) = purpose else { return }
        var isKnown: Bool { if case .node = reply { true } else { false } }
        self.loadJudged(account, number, isKnown: isKnown)
    }

    /// What this session holds is back before any account is stamped: INIT follows on the same connection.
    private mutating func changed(now: Moment) {
        guard self.has(.reassertOnLoss) else { return }
        for id in self.holdsInOrder where self.phase(of: id) == .held {
            self.sendReassert(id, raise: false, now: now)
        }
    }

    /// The node is what it was.
    private mutating func stayed(_ purpose: NodeReadingPurpose) {
        switch purpose {
        case .judge, .load: break
        // The gate may have gone to another epoch and back, and forgotten who had joined.
        case .check: if self.hasJoined { self.act(.joined(self.nodeEpoch)) }
        // The others are on another node (a fail-over that has not closed this connection): go where they are.
        case .match: if !self.isAdmitting { self.act(.reconnect) }
        }
    }

    /// The ledger was restored, or a standby promoted: every account is cold from now on (P7).
    public mutating func saw(ledgerGeneration generation: Int64) {
        guard generation > self.ledgerGeneration else { return }
        self.ledgerGeneration = generation
        if self.hasSeenNode {
            self.epoch = self.node.epoch(ledgerGeneration: self.has(.epoch) ? generation : 0)
        }
        self.act(.sawGeneration(generation))
    }

    /// The process admits under this epoch. May be said again. A session whose node is under another one must not
    /// refuse for good: it looks again, and connects again if that does not help.
    public mutating func open(_ epoch: String) {
        guard epoch != self.openEpoch else { return }
        self.openEpoch = epoch
        guard !self.isAdmitting, self.isReady else { return }
        self.send(.readNode, .node(.match))
    }

    /// This hold's place in the store was acknowledged, or it ended.
    mutating func rejoined(_ id: HoldID) {
        guard !self.hasJoined else { return }
        self.rejoining.remove(id)
        self.joinIfComplete()
    }

    private mutating func joinIfComplete() {
        guard !self.hasJoined, self.rejoining.isEmpty, self.hasSeenNode else { return }
        self.hasJoined = true
        self.act(.joined(self.nodeEpoch))
    }
}

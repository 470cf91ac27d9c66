import Metering

/// Data-loss protocol of one session (rules E1, E2).
extension HoldSessionMachine {
    /// A greeting, or a reading of the epoch key.
    mutating func learn(_ node: NodeIdentity) {
        let isNews = node.nodeEpoch != self.node.nodeEpoch || !self.hasSeenNode
        self.node = node
        self.epoch = node.epoch(ledgerGeneration: self.has(.epoch) ? self.ledgerGeneration : 0)
        guard isNews else { return }
        self.hasJoined = false
        self.act(.sawEpoch(node.nodeEpoch))
        self.rejoining = Set(
            self.live.lazy.filter { $0.value.track.phase == .held }.map(\.key))
        self.joinIfComplete()
    }

    private var hasSeenNode: Bool { !self.epoch.isEmpty }

    /// Asks the node whether it still is what it was; another session, or a process, saw a change.
    public mutating func checkEpoch() {
        guard self.isReady else { return }
        self.send(.readEpochKey, .epochKey)
    }

    mutating func epochKeyAnswered(_ reply: HoldReply, now: Moment) {
        guard case .text(let key) = reply, !key.isEmpty else { return self.note(reply.refusal, of: "GET") }
        guard key != self.node.epochKey else { return }
        var node = self.node
        node.epochKey = key
        self.learn(node)
        guard self.has(.reassertOnLoss) else { return }
        // What this session holds is back before any account is loaded: LOAD follows on the same connection.
        for id in self.holdsInOrder where self.live[id]?.track.phase == .held {
            self.sendReassert(id, raise: false, now: now)
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

    /// The process admits under this epoch.
    public mutating func open(_ epoch: String) { self.openEpoch = epoch }

    /// This hold's place in the store was acknowledged, or it ended.
    mutating func rejoined(_ id: HoldID) {
        guard !self.hasJoined else { return }
        self.rejoining.remove(id)
        self.joinIfComplete()
    }

    private mutating func joinIfComplete() {
        guard !self.hasJoined, self.rejoining.isEmpty, self.hasSeenNode else { return }
        self.hasJoined = true
        self.act(.joined(self.node.nodeEpoch))
    }
}

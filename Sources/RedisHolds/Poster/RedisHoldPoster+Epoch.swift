import Metering
import MoneyPath

/// What the epoch gate asks for (rule E2), and the poster's own look at the node.
extension RedisHoldPoster {
    private static func joinedKey(_ epoch: String) -> String { "tollgate:joined:\(epoch)" }
    private static let joinedSeconds = 604_800
    /// Run id and replication id are read at every so many polls: INFO is a long answer.
    private static let pollsPerInquiry = 4

    func performGate() {
        // What cannot be said now is said when there is a connection.
        guard self.link.isReady else { return }
        for action in self.epochs.takeActions() {
            switch action {
            case .recapture(let epoch):
                self.perform(self.recapture.begin(epoch, self.unposted(), now: .now))
            case .announce(let epoch):
                let key = Self.joinedKey(epoch)
                self.send(.ignored, ["SADD", key, "\(self.boot)"])
                self.send(.ignored, ["EXPIRE", key, "\(Self.joinedSeconds)"])
                self.ask(epoch)
            case .ask(let epoch): self.ask(epoch)
            case .checkSessions, .open: preconditionFailure("EpochWatch hands these to the sessions")
            }
        }
    }

    private func ask(_ epoch: String) {
        self.send(.members(epoch: epoch), ["SMEMBERS", Self.joinedKey(epoch)])
    }

    private func send(_ slot: Slot, _ command: [String]) {
        self.expect(slot)
        self.link.send(command: command)
    }

    func membersRead(_ epoch: String, _ reply: borrowing RedisReply) {
        let boots = (0..<reply.count).compactMap { reply.text(at: $0).flatMap { BootID(text: $0) } }
        self.epochs.members(epoch, Set(boots))
    }

    // MARK: Captures that the store may have lost

    func perform(_ actions: [Recapture.Action]) {
        for action in actions {
            switch action {
            case .send(.capture(let outcome), let slot):
                self.expect(.recapture(slot))
                self.link.send(outcome, force: true, self.fencePrefix)
            case .send(.post(let posting), let slot):
                self.expect(.recapture(slot))
                self.link.send(posting.balance, posting.settled[...])
            case .reloadScripts: self.link.reloadScripts()
            case .finished(let epoch): self.epochs.recaptured(epoch)
            }
        }
    }

    func keepRecapturing() {
        guard self.link.isReady else { return }
        self.perform(self.recapture.tick(self.unposted(), now: .now))
    }

    // MARK: The node

    /// A flush takes the epoch key along, a first replica changes the replication id; nothing else tells of it.
    func pollNode() {
        guard self.link.isReady, !self.pollIsOut else { return }
        self.pollIsOut = true
        self.polls += 1
        guard self.polls % Self.pollsPerInquiry != 0 else {
            self.expect(.node)
            return self.link.readNode()
        }
        self.send(.ignored, NodeReading.command(of: .makeEpochKey))
        self.send(.epochKey, NodeReading.command(of: .readEpochKey))
    }

    func epochKeyRead(_ key: String?) {
        self.pollIsOut = false
        guard let key, !key.isEmpty else { return }
        var node = self.node
        node.epochKey = key
        self.sawNode(node)
    }

    /// The answer to `readNode`.
    func linkRead(_ node: HoldReply) {
        _ = self.nextAnswered()
        self.pollIsOut = false
        if case .node(let node) = node { self.sawNode(node) }
    }

    private func sawNode(_ node: NodeIdentity) {
        guard node != self.node else { return }
        self.node = node
        self.logger.warning("redis may have lost data; live holds are put back")
        self.nodeChanged()
    }

    /// It may be under another epoch, and may not have been told what the one before was told.
    func nodeChanged() {
        self.told.nodeChanged(now: .now)
        self.sessions?.checkEpoch()
    }
}

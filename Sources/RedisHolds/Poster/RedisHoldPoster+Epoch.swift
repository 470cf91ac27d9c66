import Metering
import MoneyPath

/// The sessions of a process, as the epoch gate sees them. Called on any thread.
protocol EpochFollowers: Sendable {
    /// Look at your node: it may be under another epoch.
    func checkEpoch()
    func open(_ epoch: String)
}

/// What the epoch gate asks for (rule E2).
extension RedisHoldPoster {
    private static func joinedKey(_ epoch: String) -> String { "tollgate:joined:\(epoch)" }
    private static let joinedSeconds = 604_800

    func performGate() {
        // What cannot be said now is said when there is a connection.
        guard self.link.isReady else { return }
        for action in self.epochs.takeActions() {
            switch action {
            case .checkSessions: self.sessions?.checkEpoch()
            case .recapture(let epoch): self.recapture(under: epoch)
            case .announce(let epoch):
                let key = Self.joinedKey(epoch)
                self.link.send(.ignored, command: ["SADD", key, "\(self.boot)"])
                self.link.send(.ignored, command: ["EXPIRE", key, "\(Self.joinedSeconds)"])
                self.ask(epoch)
            case .ask(let epoch): self.ask(epoch)
            case .open(let epoch): self.sessions?.open(epoch)
            }
        }
    }

    private func ask(_ epoch: String) {
        self.link.send(.members(epoch: epoch), command: ["SMEMBERS", Self.joinedKey(epoch)])
    }

    func membersRead(_ epoch: String, _ reply: borrowing RedisReply) {
        let boots = (0..<reply.count).compactMap { reply.text(at: $0).flatMap { BootID(text: $0) } }
        self.epochs.members(epoch, Set(boots))
    }

    // MARK: Captures that the store may have lost

    /// What the ledger does not have yet must count as captured, or its account could spend it again.
    private func recapture(under epoch: String) {
        let outcomes = self.unposted().filter { $0.charge.amount > .zero }
        self.recapturing = (epoch, outcomes.count)
        guard !outcomes.isEmpty else { return self.finishRecapture(epoch) }
        let fence = self.fencePrefix
        for outcome in outcomes {
            self.link.send(outcome, force: true, .recapture(epoch: epoch), fence)
        }
    }

    /// Answers of the old connection never come: all that is still unposted goes again, with a raised fence.
    func resumeRecapture() {
        guard let (epoch, _) = self.recapturing else { return }
        self.recapture(under: epoch)
    }

    func recaptured(_ epoch: String, _ refusal: StoreRefusal?) {
        guard let (current, left) = self.recapturing, current == epoch else { return }
        if refusal == .noScript {
            self.link.reloadScripts()
            return self.recapture(under: epoch)
        }
        self.recapturing = (epoch, left - 1)
        if left == 1 { self.finishRecapture(epoch) }
    }

    private func finishRecapture(_ epoch: String) {
        self.recapturing = nil
        self.epochs.recaptured(epoch)
    }

    // MARK: The epoch key

    /// A flush takes the key along and nothing else tells of it.
    func pollEpochKey() {
        guard self.link.isReady, self.link.unanswered == 0 else { return }
        self.link.send(.ignored, command: ["SET", Greeting.epochKeyName, Greeting.freshEpochKey(), "NX"])
        self.link.send(.epochKey, command: ["GET", Greeting.epochKeyName])
    }

    func epochKeyRead(_ key: String?) {
        guard let key, !key.isEmpty, key != self.epochKey else { return }
        self.epochKey = key
        self.logger.warning("redis lost its data; live holds are put back")
        self.sessions?.checkEpoch()
    }
}

import Metering

/// Writes captures again that the store may have lost (rule E2): of every outcome that the ledger is not known to
/// have. Finished when each one was acknowledged, and when none is left that only the journal has.
///
/// All commands go over one connection, in rounds: a round is everything that is not acknowledged yet, and only its
/// own answers count. A hold may be posted while its CAPTURE is repeated; then POSTED is repeated behind it, on the
/// same connection, or u: would stay for ever. A value; the shell performs the actions in order.
public struct Recapture: Sendable {
    public enum Command: Sendable, Hashable {
        /// With force and a raised fence.
        case capture(Settlement)
        case post(PostedAccount)
    }

    /// What a reply belongs to.
    public struct Slot: Sendable, Hashable {
        enum Part: Sendable, Hashable { case capture, post }
        let part: Part
        let hold: HoldID
        let round: Int
    }

    public enum Action: Sendable, Hashable {
        case send(Command, Slot)
        case reloadScripts
        /// Everything is back; tell the gate.
        case finished(epoch: String)
    }

    /// Outcomes that the ledger is not known to have.
    public struct Unposted: Sendable {
        public var outcomes: [Settlement]
        /// false: there are more, which the journal alone has; they come into memory as the ledger takes others.
        public var isWhole: Bool

        public init(_ outcomes: [Settlement], isWhole: Bool) {
            self.outcomes = outcomes
            self.isWhole = isWhole
        }
    }

    static let pauseFirst: Span = .milliseconds(100)
    static let pauseMax: Span = .seconds(1)
    /// NOSCRIPT answers in a row that are answered at once.
    private static let reloadsMax = 3

    private var epoch: String?
    private var round = 0
    /// Answers of this round that have not come.
    private var left = 0
    /// CAPTURE is not acknowledged.
    private var waiting: [HoldID: Settlement] = [:]
    /// CAPTURE was acknowledged under this epoch.
    private var captured: Set<HoldID> = []
    /// POSTED went out behind the CAPTURE of this round.
    private var told: [HoldID: PostedAccount] = [:]
    /// POSTED goes again behind a repeated CAPTURE, and is not acknowledged.
    private var posts: [HoldID: PostedAccount] = [:]
    private var isWhole = true
    private var repeatAt: Moment?
    private var failures: Int64 = 0
    private var reloads = 0

    public init() {}

    /// Something is not back yet.
    public var isUnderWay: Bool { self.epoch != nil }

    /// The node is under this epoch; whatever was under way begins again.
    public mutating func begin(_ epoch: String, _ unposted: Unposted, now: Moment) -> [Action] {
        self.epoch = epoch
        self.captured = []
        (self.failures, self.reloads) = (0, 0)
        return self.beginRound(unposted, now: now)
    }

    /// Connected again. Answers of the old connection never come, and its commands may still be executed: what was
    /// not acknowledged goes again, posted or not, so that a raised fence shuts them out.
    public mutating func resume(_ unposted: @autoclosure () -> Unposted, now: Moment) -> [Action] {
        guard self.isUnderWay else { return [] }
        return self.beginRound(unposted(), now: now)
    }

    /// To be called now and then while there is a connection.
    public mutating func tick(_ unposted: @autoclosure () -> Unposted, now: Moment) -> [Action] {
        guard self.isUnderWay, let repeatAt = self.repeatAt, now >= repeatAt else { return [] }
        return self.beginRound(unposted(), now: now)
    }

    /// POSTED goes out on the same connection.
    public mutating func told(_ posting: PostedAccount) {
        guard !self.waiting.isEmpty else { return }
        for settled in posting.settled where self.waiting[settled.hold] != nil {
            self.told[settled.hold] = PostedAccount(balance: posting.balance, settled: [settled])
        }
    }

    public mutating func answered(_ slot: Slot, _ reply: HoldReply, now: Moment) -> [Action] {
        guard slot.round == self.round, self.isUnderWay else { return [] }
        self.left -= 1
        if let code = reply.code, code >= 0 {
            self.acknowledged(slot)
        } else if reply.refusal == .noScript, self.reloads < Self.reloadsMax {
            // The others of this round get the same answer, and mean nothing from now on.
            self.reloads += 1
            return [.reloadScripts] + self.beginRound(nil, now: now)
        }
        return self.left == 0 ? self.endRound(now: now) : []
    }

    private mutating func acknowledged(_ slot: Slot) {
        (self.failures, self.reloads) = (0, 0)
        switch slot.part {
        case .capture:
            self.waiting[slot.hold] = nil
            self.told[slot.hold] = nil
            self.captured.insert(slot.hold)
        case .post: self.posts[slot.hold] = nil
        }
    }

    private mutating func beginRound(_ unposted: Unposted?, now: Moment) -> [Action] {
        if let unposted { self.add(unposted) }
        self.round += 1
        self.repeatAt = nil
        self.posts.merge(self.told) { _, newer in newer }
        self.told = [:]
        var actions: [Action] = []
        for (hold, outcome) in self.waiting.sorted(by: { $0.key < $1.key }) {
            actions.append(.send(.capture(outcome), Slot(part: .capture, hold: hold, round: self.round)))
        }
        for (hold, posting) in self.posts.sorted(by: { $0.key < $1.key }) {
            actions.append(.send(.post(posting), Slot(part: .post, hold: hold, round: self.round)))
        }
        self.left = actions.count
        return actions.isEmpty ? self.endRound(now: now) : actions
    }

    private mutating func add(_ unposted: Unposted) {
        self.isWhole = unposted.isWhole
        for outcome in unposted.outcomes
        where outcome.counted > .zero && !self.captured.contains(outcome.hold) {
            self.waiting[outcome.hold] = outcome
        }
        // What the ledger has meanwhile never comes back.
        self.captured.formIntersection(unposted.outcomes.lazy.map(\.hold))
    }

    private mutating func endRound(now: Moment) -> [Action] {
        guard let epoch = self.epoch else { return [] }
        guard self.waiting.isEmpty, self.posts.isEmpty, self.isWhole else {
            self.repeatAt = now + min(Self.pauseFirst * (1 << self.failures), Self.pauseMax)
            self.failures = min(self.failures + 1, 4)
            return []
        }
        self.epoch = nil
        self.captured = []
        return [.finished(epoch: epoch)]
    }
}

import Metering

/// When this process admits under an epoch (rule E2): after all its sessions have put back what the store may have
/// lost and every live instance has done the same, or 3 seconds after the epoch was first seen.
public struct EpochGate: Sendable {
    public static let patience: Span = .seconds(3)
    /// How often the other instances are looked for while the gate is shut.
    public static let askEvery: Span = .milliseconds(50)
    /// Who joined is kept by the store for a week only, and whoever starts later has to find it.
    public static let announceEvery: Span = .seconds(3600)

    public enum Action: Sendable, Hashable {
        /// Every session has to look at its node (one of them saw another epoch), and say again that it joined.
        case checkSessions
        /// Write captures of outcomes that the ledger is not known to have, then report `recaptured`.
        case recapture(epoch: String)
        /// Add this boot to those that joined the epoch.
        case announce(epoch: String)
        /// Read who joined, then report `members`.
        case ask(epoch: String)
        case open(epoch: String)
    }

    private let boot: BootID
    private let guards: Set<HoldSessionSettings.Guard>
    private var sessions: Set<Int> = []
    private var epoch: String?
    private var seenAt: Moment = .distantPast
    private var joined: Set<Int> = []
    private var isRecaptured = false
    /// nil: the store is not known to have this boot among those that joined.
    private var announcedAt: Moment?
    private var members: Set<BootID> = []
    private var peers: Set<BootID>?
    private var askedAt: Moment = .distantPast
    public private(set) var openEpoch: String?
    /// Times that the store may have lost data.
    public private(set) var changes = 0

    public init(
        boot: BootID, guards: Set<HoldSessionSettings.Guard> = Set(HoldSessionSettings.Guard.allCases)
    ) {
        self.boot = boot
        self.guards = guards
    }

    /// A session that must join before the gate opens.
    public mutating func add(session: Int) { self.sessions.insert(session) }

    /// Instances whose heart beats, this one perhaps among them.
    public mutating func live(_ peers: Set<BootID>) { self.peers = peers }

    /// A session's node is under `epoch`.
    public mutating func saw(_ epoch: String, session: Int, now: Moment) -> [Action] {
        guard epoch != self.epoch else { return [] }
        if self.epoch != nil { self.changes += 1 }
        self.epoch = epoch
        self.seenAt = now
        self.joined = []
        self.members = []
        (self.isRecaptured, self.announcedAt) = (false, nil)
        return [.checkSessions, .recapture(epoch: epoch)]
    }

    public mutating func joined(_ epoch: String, session: Int, now: Moment) -> [Action] {
        guard epoch == self.epoch else { return [] }
        self.joined.insert(session)
        return self.advance(now: now)
    }

    public mutating func recaptured(_ epoch: String, now: Moment) -> [Action] {
        guard epoch == self.epoch else { return [] }
        self.isRecaptured = true
        return self.advance(now: now)
    }

    public mutating func members(_ epoch: String, _ members: Set<BootID>, now: Moment) -> [Action] {
        guard epoch == self.epoch else { return [] }
        self.members = members
        // The set was lost, or has expired.
        if !members.contains(self.boot) { self.announcedAt = nil }
        return self.advance(now: now)
    }

    /// To be called every `askEvery` while the gate is shut, and now and then otherwise.
    public mutating func tick(now: Moment) -> [Action] { self.advance(now: now) }

    public var isOpen: Bool { self.epoch != nil && self.openEpoch == self.epoch }

    private mutating func advance(now: Moment) -> [Action] {
        guard let epoch = self.epoch else { return [] }
        var actions: [Action] = []
        let isBack = self.joined.isSuperset(of: self.sessions) && self.isRecaptured
        if isBack, self.announcedAt.map({ now - $0 >= Self.announceEvery }) ?? true {
            self.announcedAt = now
            actions.append(.announce(epoch: epoch))
        }
        guard self.openEpoch != epoch else { return actions }
        let everyoneIsBack =
            isBack && self.members.contains(self.boot) && self.peers.map(self.members.isSuperset) ?? false
        if everyoneIsBack || now - self.seenAt >= Self.patience || !self.guards.contains(.reassertOnLoss) {
            self.openEpoch = epoch
            actions.append(.open(epoch: epoch))
        } else if isBack, now - self.askedAt >= Self.askEvery {
            self.askedAt = now
            actions.append(.ask(epoch: epoch))
        }
        return actions
    }
}

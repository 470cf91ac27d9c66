import Metering

/// Who lives, as one instance sees it (rule F1). Another instance is dead when its heartbeat counter stood still for
/// `grace` on our own monotonic clock, while our own heartbeats succeeded all that time: so an outage of the ledger,
/// or a pause of ours, makes nobody dead.
public struct PeerLiveness: Sendable {
    public struct Limits: Sendable {
        public var grace: Span = .seconds(60)
        /// Without a heartbeat of our own for so long, what we saw before proves nothing.
        public var gapMax: Span = .seconds(15)
        /// For as long as that, nothing but the last heartbeat says that someone lives.
        public var beatMax: Span = .seconds(15)
        /// F1 itself; taken out only by a simulator that shows what it is good for.
        public var waitsForGrace = true
        public var resetsAfterGap = true

        public init() {}
    }

    private struct Peer {
        /// nil: no instance of this name has a heartbeat; asked about because its holds are in the store.
        var counter: Int64?
        /// When the counter was seen first.
        var since: Moment
    }

    private let limits: Limits
    private var peers: [BootID: Peer] = [:]
    private var lastReading: Moment?

    public init(limits: Limits = Limits()) { self.limits = limits }

    /// Our heartbeat reached the ledger, which answered with the counters of all.
    public mutating func heard(_ counters: [BootID: Int64], now: Moment) {
        if let last = self.lastReading, now - last > self.limits.gapMax, self.limits.resetsAfterGap {
            for boot in self.peers.keys { self.peers[boot]?.since = now }
        }
        self.lastReading = now
        for (boot, counter) in counters where self.peers[boot]?.counter != counter {
            self.peers[boot] = Peer(counter: counter, since: now)
        }
        for (boot, peer) in self.peers where counters[boot] == nil && peer.counter != nil {
            self.peers[boot] = Peer(counter: nil, since: now)
        }
    }

    /// Whether the owner of an entry in the store is dead. A boot that was never heard of is watched from now on.
    public mutating func isDead(_ boot: BootID, now: Moment) -> Bool {
        guard let peer = self.peers[boot] else {
            self.peers[boot] = Peer(counter: nil, since: now)
            return !self.limits.waitsForGrace
        }
        // Judged by the last reading: since then, its counter may have moved.
        guard let last = self.lastReading, !self.limits.resetsAfterGap || now - last <= self.limits.gapMax
        else { return false }
        return !self.limits.waitsForGrace || last - peer.since >= self.limits.grace
    }

    /// Those whose heart was seen beating, or appeared, a moment ago.
    public func living(now: Moment) -> Set<BootID> {
        Set(
            self.peers.lazy.filter { $0.value.counter != nil && now - $0.value.since <= self.limits.beatMax }
                .map(\.key))
    }

    /// Boots that are of no interest any more: nothing of them is left anywhere.
    public mutating func forget(_ boots: Set<BootID>) { for boot in boots { self.peers[boot] = nil } }
}

import NIOCore

/// The addresses of one name: which to dial next, which to leave alone for a while. Pure; the clock and the
/// resolver are the caller's.
struct AddressBook {
    private struct Entry {
        let address: SocketAddress
        var failures = 0
        /// Not before this, while others do.
        var avoidUntil: NIODeadline = .uptimeNanoseconds(0)
    }

    struct Settings: Sendable {
        /// An answer older than this is asked for again.
        var answerAge: TimeAmount = .seconds(30)
        /// Not more often than this, whatever fails.
        var askPause: TimeAmount = .seconds(1)
        var avoidFirst: TimeAmount = .seconds(1)
        var avoidMax: TimeAmount = .seconds(30)
    }

    private let settings: Settings
    private var entries: [Entry] = []
    private var turn = 0
    private var answeredAt: NIODeadline?
    private var askedAt: NIODeadline?
    private var isStale = false

    init(settings: Settings = Settings()) { self.settings = settings }

    var isEmpty: Bool { self.entries.isEmpty }

    /// Whether the resolver should be asked now; the caller then asks.
    mutating func shouldAsk(_ now: NIODeadline) -> Bool {
        if let askedAt = self.askedAt, now < askedAt + self.settings.askPause { return false }
        let isOld = self.answeredAt.map { now >= $0 + self.settings.answerAge } ?? true
        guard isOld || self.isStale else { return false }
        self.askedAt = now
        return true
    }

    /// The resolver's answer. An empty one, as a resolver that fails gives, changes nothing: old addresses are better
    /// than none. What is known of an address that stays is kept.
    mutating func answer(_ addresses: [SocketAddress], _ now: NIODeadline) {
        guard !addresses.isEmpty else { return }
        self.answeredAt = now
        self.isStale = false
        self.entries = addresses.map { address in
            self.entries.first { $0.address == address } ?? Entry(address: address)
        }
    }

    /// All addresses in the order in which to try them: those in good standing in turn, then the others, the one whose
    /// time comes first leading, so that something is tried even when all have failed.
    mutating func order(_ now: NIODeadline) -> [SocketAddress] {
        let good = self.entries.filter { $0.avoidUntil <= now }
        let bad = self.entries.filter { $0.avoidUntil > now }.sorted { $0.avoidUntil < $1.avoidUntil }
        defer { self.turn += 1 }
        guard !good.isEmpty else { return bad.map(\.address) }
        let first = self.turn % good.count
        return (good[first...] + good[..<first] + bad).map(\.address)
    }

    mutating func failed(_ address: SocketAddress, _ now: NIODeadline) {
        self.isStale = true
        guard let index = self.entries.firstIndex(where: { $0.address == address }) else { return }
        let doublings = min(self.entries[index].failures, 8)
        self.entries[index].failures += 1
        let pause = min(self.settings.avoidFirst * (1 << doublings), self.settings.avoidMax)
        self.entries[index].avoidUntil = now + pause
    }

    mutating func succeeded(_ address: SocketAddress) {
        guard let index = self.entries.firstIndex(where: { $0.address == address }) else { return }
        self.entries[index].failures = 0
        self.entries[index].avoidUntil = .uptimeNanoseconds(0)
    }

    /// Whether a connection to this address is still to one of the name's.
    func lists(_ address: SocketAddress?) -> Bool {
        guard let address else { return true }
        return self.entries.isEmpty || self.entries.contains { $0.address == address }
    }
}

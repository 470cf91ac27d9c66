import Synchronization

/// How many client connections there are, in all and per address, on all loops.
final class ConnectionCensus: Sendable {
    private struct Counts {
        var all = 0
        var byAddress: [ClientAddress: Int] = [:]
    }

    private let counts = Mutex(Counts())
    /// 0: no limit.
    private let connectionsMax: Int
    private let perAddressMax: Int

    init(connectionsMax: Int, perAddressMax: Int) {
        self.connectionsMax = connectionsMax
        self.perAddressMax = perAddressMax
    }

    /// Counts a connection in. False: it is one too many and was not counted.
    ///
    /// - Parameter exempt: a trusted peer, which brings the connections of many clients.
    func enter(_ address: ClientAddress, exempt: Bool) -> Bool {
        self.counts.withLock { counts in
            guard self.connectionsMax == 0 || counts.all < self.connectionsMax else { return false }
            let mine = counts.byAddress[address, default: 0]
            guard exempt || self.perAddressMax == 0 || mine < self.perAddressMax else { return false }
            counts.all += 1
            counts.byAddress[address] = mine + 1
            return true
        }
    }

    /// The connection that was counted in is closed.
    func leave(_ address: ClientAddress) {
        self.counts.withLock { counts in
            counts.all -= 1
            let left = counts.byAddress[address, default: 1] - 1
            counts.byAddress[address] = left == 0 ? nil : left
        }
    }

    var count: Int { self.counts.withLock { $0.all } }
}

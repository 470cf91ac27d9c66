import Synchronization

/// How many client connections there are, in all and per address, on all loops. Of IPv6 an address is a network of 64
/// bits: whoever has one of its addresses has all of them.
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
        let address = Self.counted(address)
        return self.counts.withLock { counts in
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
        let address = Self.counted(address)
        self.counts.withLock { counts in
            counts.all -= 1
            let left = counts.byAddress[address, default: 1] - 1
            counts.byAddress[address] = left == 0 ? nil : left
        }
    }

    private static func counted(_ address: ClientAddress) -> ClientAddress {
        address.isV4 ? address : address.prefix(64)
    }

    var count: Int { self.counts.withLock { $0.all } }
}

/// Which faults a world is full of. In a world of few kinds, rare coincidences of these are frequent.
public enum SimProfile: String, Sendable, Hashable, CaseIterable {
    case everything
    /// Connections that die with commands under way, stalls, pauses.
    case network
    /// A store that forgets.
    case store
    /// A ledger that is away, unsure, or set back.
    case ledger
    /// Instances that die, with or without their disks.
    case hosts
    /// Few instances with long streams, that lose sight of each other: pauses and ways to the ledger that are cut.
    case leases

    enum Kind {
        case connection, storeLoss, failOver, stall, kill, diskLoss, powerLoss, pause, ledgerDown,
            ledgerRollBack
        /// One instance does not reach the ledger, and all others do.
        case ledgerCut
        case leap
        case diskFull, money, adjustment, gate, eviction, replica
        /// Who is charged changes.
        case flag
    }

    /// - Parameter percent: 0 ..< 100.
    func pick(_ percent: Int) -> Kind {
        var left = percent
        for (kind, weight) in self.weights {
            if left < weight { return kind }
            left -= weight
        }
        return .connection
    }

    /// One of so many answers of the ledger is lost.
    var unknownCommitOneIn: Int {
        switch self {
        case .ledger: 8
        case .leases: 4
        default: 25
        }
    }

    /// One stream of so many is long.
    var longStreamOneIn: Int { self == .leases ? 2 : 6 }
    /// Clients come so many times more slowly, so a world of as many events lasts longer.
    var clientPauses: Int64 { self == .leases ? 3 : 1 }
    /// Somebody has to be there who sees the others.
    var instancesLeast: Int { self == .leases ? 2 : 1 }
    var instancesMost: Int { self == .leases ? 3 : 5 }

    private var weights: [(Kind, Int)] {
        switch self {
        case .everything:
            [
                (.connection, 20), (.storeLoss, 10), (.failOver, 3), (.stall, 5), (.kill, 5), (.diskLoss, 3),
                (.powerLoss, 4), (.pause, 7), (.ledgerDown, 3), (.ledgerRollBack, 3), (.ledgerCut, 3),
                (.leap, 3),
                (.diskFull, 3), (.money, 10), (.adjustment, 4), (.gate, 5), (.eviction, 3), (.replica, 2),
                (.flag, 4),
            ]
        case .network:
            [
                (.connection, 53), (.stall, 6), (.pause, 20), (.money, 6), (.ledgerDown, 3), (.eviction, 5),
                (.leap, 3), (.flag, 4),
            ]
        case .store:
            [
                (.connection, 16), (.storeLoss, 40), (.failOver, 7), (.stall, 10), (.money, 10),
                (.eviction, 5), (.replica, 5), (.leap, 3), (.flag, 4),
            ]
        case .ledger:
            [
                (.connection, 11), (.ledgerDown, 20), (.ledgerRollBack, 15), (.ledgerCut, 10), (.pause, 12),
                (.money, 10), (.adjustment, 3), (.gate, 10), (.kill, 5), (.flag, 4),
            ]
        case .hosts:
            [
                (.connection, 11), (.kill, 20), (.diskLoss, 15), (.powerLoss, 10), (.pause, 20),
                (.diskFull, 5), (.ledgerCut, 5), (.money, 10), (.flag, 4),
            ]
        case .leases:
            [
                // Not so many that nobody is left who sees the others.
                (.ledgerCut, 9), (.pause, 12), (.connection, 8), (.ledgerDown, 2), (.kill, 2), (.money, 38),
                (.adjustment, 5), (.gate, 10), (.eviction, 5), (.leap, 5),
                (.flag, 4),
            ]
        }
    }
}

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

    enum Kind {
        case connection, storeLoss, failOver, stall, kill, diskLoss, powerLoss, pause, ledgerDown,
            ledgerRollBack
        case diskFull, money, adjustment, gate, eviction, replica
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

    private var weights: [(Kind, Int)] {
        switch self {
        case .everything:
            [
                (.connection, 24), (.storeLoss, 10), (.failOver, 3), (.stall, 5), (.kill, 5), (.diskLoss, 3),
                (.powerLoss, 4), (.pause, 9), (.ledgerDown, 4), (.ledgerRollBack, 3), (.diskFull, 3),
                (.money, 13), (.adjustment, 4), (.gate, 5), (.eviction, 3), (.replica, 2),
            ]
        case .network:
            [(.connection, 60), (.stall, 6), (.pause, 20), (.money, 6), (.ledgerDown, 3), (.eviction, 5)]
        case .store:
            [
                (.connection, 20), (.storeLoss, 40), (.failOver, 10), (.stall, 10), (.money, 10),
                (.eviction, 5), (.replica, 5),
            ]
        case .ledger:
            [
                (.connection, 20), (.ledgerDown, 25), (.ledgerRollBack, 20), (.money, 15), (.adjustment, 5),
                (.gate, 10), (.kill, 5),
            ]
        case .hosts:
            [
                (.connection, 20), (.kill, 20), (.diskLoss, 15), (.powerLoss, 10), (.pause, 20),
                (.diskFull, 5),
                (.money, 10),
            ]
        }
    }
}

import Metering

/// What is to be done about the entries of one account (rules F2–F7). Stateless: every pass judges anew, so what one
/// pass could not do the next one does. All steps may be repeated, and done by several instances at once.
public struct Sweep: Sendable {
    /// The state of an entry's owner.
    public enum Owner: Sendable, Hashable {
        case me
        case live
        /// Rule F1.
        case dead
        /// Its journal was recovered here, so it is dead for certain.
        case recovered
    }

    public enum Step: Sendable, Hashable {
        /// Take the hold over, then call `reaped`.
        case reap(HoldID, from: HoldOwner)
        /// Record this outcome.
        case record(Settlement)
        /// Ask the ledger which of these it has, then call `read`.
        case lookUp([HoldID])
        /// Give the hold back in its owner's name, then call `released`.
        case release(HoldID, owner: BootID)
        /// Tell the store what the ledger has.
        case posted([SettledHold])
        /// A person has to look at it.
        case unreadable(HoldID)
    }

    public enum Guard: String, Sendable, Hashable, CaseIterable {
        /// F3: REAP first, settle after.
        case reapBeforeSettling
        /// F7: entries of our own that no exchange knows are ended.
        case selfSweep
        /// F4: captures of the dead are posted from their payload.
        case postCapturesOfTheDead
    }

    private let me: BootID
    private let guards: Set<Guard>

    public init(me: BootID, guards: Set<Guard> = Set(Guard.allCases)) {
        self.me = me
        self.guards = guards
    }

    /// - Parameters:
    ///   - known: holds that an exchange, the settler or the journal of this process still deals with; read *after* the
    ///     account was listed (F7: the table entry is made before PLACE is sent).
    ///   - owner: what is known about a boot.
    ///   - opened: whether the journal of a recovered boot says that this hold went upstream.
    public func steps(
        for account: StoredAccount, known: (HoldID) -> Bool, owner: (BootID) -> Owner,
        opened: (BootID, HoldID) -> Bool
    ) -> [Step] {
        var steps: [Step] = []
        var unknown: [HoldID] = []
        for hold in account.holds where !known(hold.hold) {
            switch owner(hold.owner.reaper ?? hold.owner.boot) {
            case .live: break
            case .me:
                if self.guards.contains(.selfSweep) { unknown.append(hold.hold) }
            case .recovered where hold.owner.reaper == nil:
                unknown.append(hold.hold)
            case .recovered, .dead:
                if self.guards.contains(.reapBeforeSettling) {
                    steps.append(.reap(hold.hold, from: hold.owner))
                } else {
                    steps.append(.record(hold.orphan(of: account.account)))
                }
            }
        }
        for capture in account.captures where !known(capture.hold) {
            guard let settlement = capture.settlement else {
                steps.append(.unreadable(capture.hold))
                continue
            }
            switch owner(settlement.owner) {
            case .live: break
            case .me:
                if self.guards.contains(.selfSweep) { unknown.append(capture.hold) }
            case .recovered, .dead:
                if self.guards.contains(.postCapturesOfTheDead) { steps.append(.record(settlement)) }
            }
        }
        if !unknown.isEmpty { steps.append(.lookUp(unknown)) }
        return steps
    }

    /// The store answered REAP: nil: its deadline has not passed, or somebody else was faster.
    public func reaped(_ hold: StoredHold?, of account: AccountID) -> [Step] {
        hold.map { [.record($0.orphan(of: account))] } ?? []
    }

    /// The ledger answered `lookUp`.
    public func read(
        _ asked: [HoldID], settled: [SettledHold], in account: StoredAccount,
        opened: (BootID, HoldID) -> Bool
    ) -> [Step] {
        var steps: [Step] = settled.isEmpty ? [] : [.posted(settled)]
        let terminal = Set(settled.map(\.hold))
        // The ledger counts something else, so POSTED leaves the capture: it is said once more, and judged by authority.
        let known = Dictionary(settled.map { ($0.hold, $0) }, uniquingKeysWith: { first, _ in first })
        for capture in account.captures {
            guard let counts = known[capture.hold], let settlement = capture.settlement else { continue }
            let isHigher = settlement.authority.rawValue > counts.authority.rawValue
            if isHigher || counts.amount != capture.amount { steps.append(.record(settlement)) }
        }
        let asked = Set(asked).subtracting(terminal)
        for hold in account.holds where asked.contains(hold.hold) {
            if hold.owner.reaper == self.me {
                // We took it over, and never heard so.
                steps.append(.record(hold.orphan(of: account.account)))
                continue
            }
            // A recovered boot's journal has it as open: its outcome is on its way to the ledger.
            let boot = hold.owner.boot
            guard boot == self.me || !opened(boot, hold.hold) else { continue }
            steps.append(.release(hold.hold, owner: boot))
        }
        for capture in account.captures where asked.contains(capture.hold) {
            if let settlement = capture.settlement { steps.append(.record(settlement)) }
        }
        return steps
    }

    /// The store answered RELEASE of a hold that never went upstream.
    ///
    /// - Parameter takenOver: a reaper has it, and will charge or has charged an estimate.
    public func released(_ hold: StoredHold, of account: AccountID, takenOver: Bool) -> [Step] {
        guard takenOver else { return [] }
        return [
            .record(
                .void(
                    of: hold.hold, account: account, owner: hold.owner.boot, endpoint: hold.endpoint,
                    priceID: hold.priceID))
        ]
    }
}

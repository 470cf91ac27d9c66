/// A balance as the ledger knows it. Two readings of one account compare by (generation, version).
public struct LedgerBalance: Sendable, Hashable {
    public var account: AccountID
    /// Generation of the ledger: raised after a restore or the promotion of a standby (rule P7).
    public var generation: Int64
    public var version: Int64
    public var balance: Millicredits

    public init(account: AccountID, generation: Int64, version: Int64, balance: Millicredits) {
        self.account = account
        self.generation = generation
        self.version = version
        self.balance = balance
    }
}

/// What an account may not do, with a version of its own (rule G1).
public struct AccountGate: Sendable, Hashable {
    public var account: AccountID
    public var version: Int64
    /// The balance may not be spent below this; negative is a credit line.
    public var floor: Millicredits
    public var blocked: Bool

    public init(account: AccountID, version: Int64, floor: Millicredits, blocked: Bool) {
        self.account = account
        self.version = version
        self.floor = floor
        self.blocked = blocked
    }
}

/// One consistent reading of an account for a cold load (rule E3).
public struct AccountSnapshot: Sendable, Hashable {
    public var balance: LedgerBalance
    public var gate: AccountGate
    /// Spent in the 60 minutes before, and since UTC midnight, in the same snapshot.
    public var spentLastHour: Millicredits
    public var spentToday: Millicredits
    /// Those of the holds asked about that are settled already, with the amount that counts.
    public var settled: [SettledHold]

    public init(
        balance: LedgerBalance, gate: AccountGate, spentLastHour: Millicredits, spentToday: Millicredits,
        settled: [SettledHold]
    ) {
        self.balance = balance
        self.gate = gate
        self.spentLastHour = spentLastHour
        self.spentToday = spentToday
        self.settled = settled
    }
}

public enum LedgerReadFailure: Error, Sendable, Hashable {
    case unreachable
    case noSuchAccount
}

/// What the hold store needs of the ledger. `reply` may be called on any thread, exactly once.
public protocol AccountReading: Sendable {
    func snapshot(
        of account: AccountID, among holds: [HoldID],
        reply: @escaping @Sendable (Result<AccountSnapshot, LedgerReadFailure>) -> Void)
}

/// What the settler needs of the ledger.
public protocol SettlementPosting: Sendable {
    /// One attempt of one batch: one autocommit statement (rules P1–P6). Returns the balances of *all*
    /// accounts named. Poison rows are put into quarantine and named in the result; they never fail the
    /// others. Throws when it is not known to be committed: the caller sends the same outcomes again.
    func settle(_ batch: [Settlement]) async throws -> SettlementReceipt
    /// The last answer came from a ledger that was replaced: the next attempt goes over a new connection.
    func reconnect()
}

public struct SettlementReceipt: Sendable, Hashable {
    public var balances: [LedgerBalance]
    /// Rows that the ledger refuses for good; they wait in `settlement_quarantine`.
    public var quarantined: [HoldID]
    /// Two different outcomes of authority 2 for one hold: recorded, to be looked at by a person.
    public var conflicts: Int

    public init(balances: [LedgerBalance], quarantined: [HoldID] = [], conflicts: Int = 0) {
        self.balances = balances
        self.quarantined = quarantined
        self.conflicts = conflicts
    }
}

/// What a running exchange has consumed so far, as far as it was seen.
public struct ExchangeProgress: Sendable, Hashable {
    public var hold: HoldID
    public var outputTokens: Int64
    /// Of input and output so far.
    public var charge: Charge
    /// What would be charged; differs from the charge only of a waived exchange.
    public var shadow: Millicredits

    public init(hold: HoldID, outputTokens: Int64, charge: Charge, shadow: Millicredits? = nil) {
        self.hold = hold
        self.outputTokens = outputTokens
        self.charge = charge
        self.shadow = shadow ?? charge.amount
    }
}

/// Where the data plane leaves what it owes the ledger. Never blocks, never fails.
public protocol SettlementSink: Sendable {
    /// Sets room aside for one exchange, before it is admitted (rule J3). false: stop admitting.
    func reserve() -> Bool
    /// Ends a reservation whose exchange will record nothing.
    func giveBackReservation()
    /// The request goes upstream now. `worst` (an orphan of authority 1) is what is settled if this process dies.
    /// false: there is no room for it after all (a disk broke); the request must not go.
    func opened(_ worst: Settlement) -> Bool
    /// Said about once per second while output passes.
    func progressed(_ progress: ExchangeProgress)
    /// Whether the end of a reply may have to wait for its outcome: if not, `record` returns false and never
    /// calls back.
    var isStrict: Bool { get }
    /// Takes an outcome, and the reservation of its exchange with it. The end of the reply may go to the client now,
    /// or, if this returns true, when `completion` is called (on any thread).
    func record(_ settlement: Settlement, whenSafe completion: @escaping @Sendable () -> Void) -> Bool
    /// Takes an outcome that no reservation stands for (a VOID after an unknown PLACE, an adopted capture).
    func recordUnreserved(_ settlement: Settlement)
    /// Outcomes that the ledger is not known to have, as many as are in memory (rule E2).
    func unposted() -> [Settlement]
    /// There are outcomes that neither memory nor the ledger has, only the journal: `unposted` is not all of them.
    var hasSpilled: Bool { get }
}

extension SettlementSink {
    public var isStrict: Bool { true }
    public var hasSpilled: Bool { false }
}

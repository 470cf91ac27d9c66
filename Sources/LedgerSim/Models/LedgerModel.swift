import Metering

/// The ledger as a value: what `settle()`, `grant_credits()` and a restore do to accounts, rows and balances, and
/// nothing else. Dictionary operations only, so a simulator can take millions of steps; `LedgerSimTests` compares it
/// with the real functions.
///
/// One difference is left: ids exactly at the horizon, since the model's clock counts whole milliseconds.
public struct LedgerModel: Sendable {
    /// 35 days, and one day ahead (rule P6).
    public static let horizonMilliseconds: Int64 = 35 * 86_400_000
    public static let aheadMilliseconds: Int64 = 86_400_000

    public struct Key: Sendable, Hashable {
        public var account: AccountID
        public var hold: HoldID

        public init(account: AccountID, hold: HoldID) {
            self.account = account
            self.hold = hold
        }
    }

    public struct Account: Sendable, Hashable {
        public var balance: Int64 = 0
        public var version: Int64 = 0
        /// Ledger lines of any kind, and the sum of grants and that of everything else.
        public var lines: Int64 = 0
        public var granted: Int64 = 0
        public var deducted: Int64 = 0
    }

    /// A settlement row and its corrections; the one of highest authority counts.
    struct Row: Sendable, Hashable {
        var first: LedgerEntry
        var recovery: LedgerEntry?
        var owner: LedgerEntry?
        /// What the balance really paid for it; differs from `counts.amount` only in a broken ledger.
        var paid: Int64

        var counts: LedgerEntry { self.owner ?? self.recovery ?? self.first }
        var corrections: Int { (self.recovery == nil ? 0 : 1) + (self.owner == nil ? 0 : 1) }
    }

    /// A key of `settlement_conflict` and of `settlement_quarantine`.
    public struct SetAside: Sendable, Hashable {
        public var account: AccountID
        public var hold: HoldID
        public var digest: Int64

        init(_ entry: LedgerEntry) {
            self.account = entry.account
            self.hold = entry.hold
            self.digest = entry.digest
        }
    }

    public internal(set) var accounts: [AccountID: Account] = [:]
    public internal(set) var conflicts: Set<SetAside> = []
    public internal(set) var quarantine: Set<SetAside> = []
    public private(set) var generation: Int64 = 1
    var rows: [Key: Row] = [:]
    var grants: [String: GrantRecord] = [:]
    let missing: Set<LedgerGuard>

    /// - Parameter missing: guards to build the ledger without.
    public init(without missing: Set<LedgerGuard> = []) { self.missing = missing }

    func has(_ rule: LedgerGuard) -> Bool { self.missing.isEmpty || !self.missing.contains(rule) }

    // MARK: Events

    /// Opens an account with a zero balance; does nothing when it is open.
    public mutating func open(_ account: AccountID) {
        if self.accounts[account] == nil { self.accounts[account] = Account() }
    }

    /// The database is restored to an earlier moment, or an asynchronous standby is promoted: everything since is
    /// gone, and the generation rises (rule P7).
    ///
    /// - Parameters:
    ///   - snapshot: a copy of this model from then.
    ///   - now: milliseconds since 1970.
    public mutating func rollback(to snapshot: LedgerModel, now: Int64) {
        let keepsGeneration = !self.has(.newGenerationAfterRollback)
        self = snapshot
        if !keepsGeneration { self.generation = max(self.generation + 1, now) }
    }

    // MARK: Readings

    /// nil: no such account.
    public func balance(of account: AccountID) -> LedgerBalance? {
        self.accounts[account].map { self.balance($0, of: account) }
    }

    func balance(_ state: Account, of account: AccountID) -> LedgerBalance {
        LedgerBalance(
            account: account, generation: self.generation, version: state.version,
            balance: Millicredits(state.balance))
    }

    /// The outcome that counts for a hold; nil while it is not settled.
    public func settled(_ key: Key) -> LedgerEntry? { self.rows[key]?.counts }

    /// Corrections that a hold's row has.
    public func corrections(of key: Key) -> Int { self.rows[key]?.corrections ?? 0 }

    public var settledCount: Int { self.rows.count }

    /// Every hold with the outcome that counts, in no order.
    public var settlements: some Sequence<LedgerEntry> { self.rows.values.lazy.map(\.counts) }

    /// Rows of authority 0 without correction that belong to these boots, and whose OPEN is in no journal (rule F8);
    /// in the order of their ids.
    public func standingEstimates(of boots: Set<BootID>, notIn opened: Set<HoldID>) -> [LedgerEntry] {
        self.rows.values
            .filter { row in
                row.first.authority == .reaper && row.corrections == 0 && boots.contains(row.first.owner)
                    && !opened.contains(row.first.hold)
            }
            .map(\.first).sorted { $0.hold < $1.hold }
    }
}

import Metering

/// The newest change of each account that the hold store was not told of. A value; bounded by the accounts there are.
public struct UntoldChanges: Sendable {
    private var balances: [AccountID: LedgerBalance] = [:]
    private var gates: [AccountID: AccountGate] = [:]
    /// Accounts in one call.
    static let accountsMax = 1000

    public init() {}

    public var isEmpty: Bool { self.balances.isEmpty && self.gates.isEmpty }

    public mutating func add(balance: LedgerBalance, gate: AccountGate) {
        self.putBack([balance])
        self.putBack([gate])
    }

    /// Takes some balances out; `putBack` those that were not acknowledged.
    public mutating func takeBalances() -> [LedgerBalance] {
        let some = self.balances.values.prefix(Self.accountsMax)
        for balance in Array(some) { self.balances[balance.account] = nil }
        return some.sorted { $0.account < $1.account }
    }

    public mutating func takeGates() -> [AccountGate] {
        let some = self.gates.values.prefix(Self.accountsMax)
        for gate in Array(some) { self.gates[gate.account] = nil }
        return some.sorted { $0.account < $1.account }
    }

    /// A newer one that came meanwhile stands.
    public mutating func putBack(_ balances: [LedgerBalance]) {
        for balance in balances {
            let known = self.balances[balance.account]
            if let known, (known.generation, known.version) > (balance.generation, balance.version) {
                continue
            }
            self.balances[balance.account] = balance
        }
    }

    public mutating func putBack(_ gates: [AccountGate]) {
        for gate in gates where self.gates[gate.account].map({ $0.version <= gate.version }) ?? true {
            self.gates[gate.account] = gate
        }
    }
}

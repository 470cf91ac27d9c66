import Billing
import Metering
import PostgresLedger
import RedisHolds

/// One thing that is wrong in the hold store.
struct HoldStoreDifference: Sendable, Hashable {
    /// With its amounts, and the invariant as its detail.
    var finding: ReconciliationFinding
    /// For `verify`.
    var text: String
    /// The store is at a version that the ledger never had: every settlement moves the amount, and not the fault.
    var isAhead = false

    /// The number of the invariant first.
    var check: String { self.finding.detail }

    init(_ check: String, _ subject: String, _ amounts: ReconciliationFinding.Amounts?, _ text: String) {
        self.finding = ReconciliationFinding(subject, amounts, check)
        self.text = text
    }
}

/// What one look at the hold store came to (DESIGN §9, R1–R6).
struct HoldStoreLook {
    /// R1–R5.
    private(set) var differences: [HoldStoreDifference] = []
    private(set) var warnings: [VerifyFinding] = []

    /// Without what was on its way when the first look was taken.
    func standing(after first: HoldStoreLook) -> HoldStoreLook {
        let standing = Set(
            ReconciliationFinding.standing(
                first.differences.map(\.finding), self.differences.map(\.finding)))
        let ahead = Set(first.differences.filter(\.isAhead).map(\.finding.subject))
        var look = self
        look.differences.removeAll { difference in
            !standing.contains(difference.finding)
                && !(difference.isAhead && ahead.contains(difference.finding.subject))
        }
        return look
    }

    /// R1, R2, R4, R6: each account against itself, as it was read at once.
    mutating func checkEach(_ accounts: [AccountAudit]) {
        for account in accounts {
            for problem in account.problems { self.add(problem, of: account) }
            if let available = account.available, available < 0 {
                self.warnings.append(
                    VerifyFinding(
                        .warning,
                        "R6 available ≥ 0 (unless an over-hold, a claw-back or an epoch change made it negative)",
                        [
                            "account \(account.account): available \(available), held \(account.held), "
                                + "captured \(account.captured), floor \(account.floor)"
                        ]))
            }
        }
    }

    private mutating func add(_ problem: AccountAudit.Problem, of account: AccountAudit) {
        let name = "account \(account.account)"
        switch problem {
        case .heldSum(let stored, let computed):
            self.add(
                "R1 H is the sum of the holds", name, expected: computed, found: stored,
                "\(name): H is \(stored), the holds sum to \(computed)")
        case .waivedSum(let stored, let computed):
            self.add(
                "R1 W is the sum of the waived holds", name, expected: computed, found: stored,
                "\(name): W is \(stored), the waived holds sum to \(computed)")
        case .capturedSum(let stored, let computed):
            self.add(
                "R2 U is the sum of the captures", name, expected: computed, found: stored,
                "\(name): U is \(stored), the captures sum to \(computed)")
        case .heldAndCaptured(let hold):
            // Set aside a second time.
            let held = account.holds.first { $0.hold == hold }?.amount.value ?? 0
            self.add(
                "R4 no id is both held and captured", "hold \(hold) of \(name)", expected: 0, found: held,
                "\(name): hold \(hold)")
        case .malformed(let field):
            self.differences.append(
                HoldStoreDifference(
                    "R1 fields can be read", "field \(field) of \(name)", nil,
                    "\(name): field \(field) is not as any script writes it"))
        }
    }

    /// R3: `p` equals Postgres at version `s`.
    mutating func checkBalances(_ accounts: [AccountAudit], _ balances: [LedgerBalance]) {
        let known = Dictionary(uniqueKeysWithValues: balances.map { ($0.account, $0) })
        for account in accounts {
            guard let stored = account.balance, let ledger = known[account.account],
                stored.generation == ledger.generation
            else { continue }
            if stored.version == ledger.version, stored.balance != ledger.balance {
                self.addBalance(
                    stored, ledger,
                    "has \(stored.balance) at version \(stored.version), the ledger \(ledger.balance)")
            }
            if stored.version > ledger.version {
                self.addBalance(
                    stored, ledger, isAhead: true,
                    "is at version \(stored.version), which the ledger never had")
            }
        }
    }

    private mutating func addBalance(
        _ stored: LedgerBalance, _ ledger: LedgerBalance, isAhead: Bool = false, _ text: String
    ) {
        let name = "account \(stored.account)"
        var difference = HoldStoreDifference(
            "R3 balance equals the ledger at its version", name,
            .init(expected: ledger.balance.value, found: stored.balance.value, unit: .millicredits),
            "\(name) \(text)")
        difference.isAhead = isAhead
        self.differences.append(difference)
    }

    /// R5: what is settled for good leaves the hold store; what is estimated may still have an owner.
    mutating func checkTerminal(_ left: SettledEntries) {
        for settled in left.final {
            self.add(
                SettledEntries.check, settled.entry.name, expected: 0, found: settled.entry.amount.value,
                settled.text)
        }
        self.warnings += left.findings.filter { $0.severity == .warning }.map(VerifyFinding.init)
    }

    private mutating func add(
        _ check: String, _ subject: String, expected: Int64, found: Int64, _ text: String
    ) {
        self.differences.append(
            HoldStoreDifference(
                check, subject, .init(expected: expected, found: found, unit: .millicredits), text))
    }
}

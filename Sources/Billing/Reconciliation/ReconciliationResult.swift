/// What is compared once a day; its name is a metric label.
public enum ReconciliationCheck: String, Sendable, Hashable, CaseIterable {
    /// Each balance against the sum of its ledger lines.
    case balances
    /// What usage was charged against what the ledger deducted, per day.
    case usage
    /// Redis against itself and against the ledger.
    case holdStore = "hold_store"
    /// What Stripe says was paid and given back against what was granted and taken back.
    case payments
    /// What OpenAI says the day cost against what the books have.
    case openAICosts = "openai_costs"
    /// Σ of all entries of the journal.
    case trialBalance = "trial_balance"
    /// I8: lots, payments and journal against each other.
    case books
}

/// One difference, or one reason why nothing could be compared.
public struct ReconciliationFinding: Sendable, Hashable {
    public enum Unit: String, Sendable, Hashable, CaseIterable {
        case millicredits
        case microUSD = "micro_usd"
        case cents

        /// At the nominal value, 1,000 credits = 1 USD.
        public var millicredits: Int64 {
            switch self {
            case .millicredits, .microUSD: 1
            case .cents: MicroUSD.perCent
            }
        }
    }

    public struct Amounts: Sendable, Hashable {
        public var expected: Int64
        public var found: Int64
        public var unit: Unit

        public init(expected: Int64, found: Int64, unit: Unit) {
            (self.expected, self.found, self.unit) = (expected, found, unit)
        }

        /// |found − expected|, in millicredits.
        public var mismatch: Int128 {
            let difference = Int128(self.found) - Int128(self.expected)
            return Int128(difference.magnitude) * Int128(self.unit.millicredits)
        }
    }

    /// What differs: an account, a day, a payment.
    public var subject: String
    /// nil where the difference is not one of amounts.
    public var amounts: Amounts?
    /// For a person.
    public var detail: String

    public init(_ subject: String, _ amounts: Amounts?, _ detail: String) {
        (self.subject, self.amounts, self.detail) = (subject, amounts, detail)
    }

    /// What differs in both looks, and by as much, as the second one tells it: what is on its way arrives between them,
    /// and traffic moves both sides alike.
    public static func standing(_ first: [Self], _ second: [Self]) -> [Self] {
        let seen = Set(first.map(Difference.init))
        return second.filter { seen.contains(Difference($0)) }
    }

    private struct Difference: Hashable {
        var subject: String
        var unit: Unit?
        var amount: Int128?
        var detail: String

        init(_ finding: ReconciliationFinding) {
            (self.subject, self.detail) = (finding.subject, finding.detail)
            self.unit = finding.amounts?.unit
            self.amount = finding.amounts.map { Int128($0.found) - Int128($0.expected) }
        }
    }
}

/// What one check came to.
public struct ReconciliationResult: Sendable, Hashable {
    /// Findings that are kept of one check; the rest is only counted.
    public static let findingsMax = 1000

    public enum Outcome: String, Sendable, Hashable, CaseIterable {
        case clean
        case mismatch
        /// The other side could not be asked, which says nothing about amounts.
        case unavailable
        /// There is no other side.
        case notConfigured = "not_configured"
    }

    public var check: ReconciliationCheck
    public var outcome: Outcome
    /// The first of them, at most `findingsMax`.
    public var findings: [ReconciliationFinding]
    /// How many there are.
    public var total: Int64
    /// Σ of the absolute differences, millicredits.
    public var mismatch: Int128

    /// - Parameters:
    ///   - total: how many there are, when `findings` are only the first.
    ///   - mismatch: their sum, for the same case.
    public init(
        _ check: ReconciliationCheck, _ findings: [ReconciliationFinding], total: Int64? = nil,
        mismatch: Int128? = nil
    ) {
        self.check = check
        self.outcome = findings.isEmpty ? .clean : .mismatch
        self.findings = Array(findings.prefix(Self.findingsMax))
        self.total = total ?? Int64(findings.count)
        self.mismatch = mismatch ?? findings.reduce(0) { $0 + ($1.amounts?.mismatch ?? 0) }
    }

    /// - Parameter reason: for a person.
    public init(_ check: ReconciliationCheck, without outcome: Outcome, because reason: String) {
        self.check = check
        self.outcome = outcome
        self.findings = [ReconciliationFinding("all", nil, reason)]
        self.total = 0
        self.mismatch = 0
    }
}

/// All checks of one day.
public struct ReconciliationReport: Sendable, Hashable {
    public var day: UTCDay
    public var results: [ReconciliationResult]

    public init(day: UTCDay, results: [ReconciliationResult]) {
        (self.day, self.results) = (day, results)
    }

    /// What a run came to. One that failed is a report without any comparison: stored, it gives its day a pause instead
    /// of putting it before all others again at once.
    ///
    /// - Throws: `CancellationError`, since an instance that stops has tried nothing.
    public static func of(
        _ day: UTCDay, _ run: () async throws -> ReconciliationReport
    ) async throws -> ReconciliationReport {
        do { return try await run() } catch {
            try Task.checkCancellation()
            if error is CancellationError { throw error }
            return ReconciliationReport(
                day: day,
                results: ReconciliationCheck.allCases.map {
                    ReconciliationResult($0, without: .unavailable, because: "the run ended: \(error)")
                })
        }
    }

    /// Nothing differs, as far as it could be compared.
    public var isClean: Bool { !self.results.contains { $0.outcome == .mismatch } }
    /// Whoever could be asked was asked.
    public var isComplete: Bool { !self.results.contains { $0.outcome == .unavailable } }
    /// Σ of the absolute differences, millicredits.
    public var mismatch: Int128 { self.results.reduce(0) { $0 + $1.mismatch } }
}

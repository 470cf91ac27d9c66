/// What the metrics tell of all reconciliations: of each check, the comparison that has all that stands.
public struct StandingDifferences: Sendable, Hashable {
    /// The newest comparison of one day by one check; what could not be compared is none.
    public struct Compared: Sendable, Hashable {
        public var check: ReconciliationCheck
        public var day: UTCDay
        /// Rises with each run.
        public var run: Int64
        public var findings: Int64
        /// Millicredits.
        public var mismatch: Int128

        public init(
            check: ReconciliationCheck, day: UTCDay, run: Int64, findings: Int64, mismatch: Int128
        ) {
            (self.check, self.day, self.run) = (check, day, run)
            (self.findings, self.mismatch) = (findings, mismatch)
        }
    }

    /// Runs are told of for so many days.
    public static let days = BooksSchedule.daysMadeUpFor

    /// Σ of the absolute differences, millicredits.
    public private(set) var mismatch: Int128 = 0
    /// Each check that was compared, with the number of its findings.
    public private(set) var findings: [ReconciliationCheck: Int64] = [:]

    /// - Parameter newest: at most one of each check and day, in any order.
    public init(newest: [Compared]) {
        for (check, days) in Dictionary(grouping: newest, by: \.check) {
            guard let last = days.max(by: { check.isSuperseded($0, by: $1) }) else { continue }
            self.mismatch += last.mismatch
            self.findings[check] = last.findings
        }
    }
}

extension ReconciliationCheck {
    /// Two checks look at all days up to their own: a later run of an older day leaves the days between out. All others look
    /// at what is there when they run: payments at those of their day and at all that stood before.
    fileprivate func isSuperseded(
        _ earlier: StandingDifferences.Compared, by later: StandingDifferences.Compared
    ) -> Bool {
        switch self {
        case .usage, .openAICosts: (earlier.day, earlier.run) < (later.day, later.run)
        case .balances, .holdStore, .payments, .trialBalance, .books: earlier.run < later.run
        }
    }
}

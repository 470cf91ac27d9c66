/// What the metrics tell of all reconciliations: what was found and was not compared again since, with another end.
public struct StandingDifferences: Sendable, Hashable {
    /// The newest comparison of one day by one check; what could not be compared is none.
    public struct Compared: Sendable, Hashable {
        public var check: ReconciliationCheck
        public var day: UTCDay
        public var findings: Int64
        /// Millicredits.
        public var mismatch: Int128

        public init(check: ReconciliationCheck, day: UTCDay, findings: Int64, mismatch: Int128) {
            (self.check, self.day, self.findings, self.mismatch) = (check, day, findings, mismatch)
        }
    }

    /// Days that are told of: as many as are made up for.
    public static let days = BooksSchedule.daysMadeUpFor

    /// Σ of the absolute differences, millicredits.
    public private(set) var mismatch: Int128 = 0
    /// Each check that was compared, with the number of its findings.
    public private(set) var findings: [ReconciliationCheck: Int64] = [:]

    /// - Parameter newest: at most one of each check and day, in any order.
    public init(newest: [Compared]) {
        for (check, days) in Dictionary(grouping: newest, by: \.check) {
            let last = days.map(\.day).max()
            for compared in days where check.isOfOneDay || compared.day == last {
                self.mismatch += compared.mismatch
                self.findings[check, default: 0] += compared.findings
            }
        }
    }
}

extension ReconciliationCheck {
    /// A comparison of another day says nothing about what it found. Every other check looks at the whole ledger up to
    /// its day: the newest day's has all that stands, and adding days up would tell the same difference many times.
    var isOfOneDay: Bool { self == .payments }
}

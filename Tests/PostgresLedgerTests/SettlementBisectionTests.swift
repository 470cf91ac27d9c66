import Testing

@testable import PostgresLedger

@Suite struct SettlementBisectionTests {
    /// Runs a bisection against a ledger that refuses the given rows; what was posted and what was
    /// quarantined.
    private func run(rows: Int, poison: Set<Int>) -> (posted: [Int], quarantined: [Int], statements: Int) {
        var bisection = SettlementBisection(rows: rows)
        var posted: [Int] = []
        var quarantined: [Int] = []
        var statements = 0
        while true {
            switch bisection.next() {
            case .post(let range):
                statements += 1
                if range.contains(where: poison.contains) {
                    bisection.refused()
                } else {
                    posted += range
                    bisection.posted()
                }
            case .quarantine(let row): quarantined.append(row)
            case .done: return (posted, quarantined, statements)
            }
        }
    }

    @Test func aCleanBatchIsOneStatement() {
        let run = self.run(rows: 500, poison: [])
        #expect(run.statements == 1)
        #expect(run.posted == Array(0..<500))
    }

    @Test func nothingIsNothing() { #expect(self.run(rows: 0, poison: []).statements == 0) }

    /// Every single and double poison position of a small batch: each good row once and in order, each bad
    /// one named.
    @Test func everyGoodRowIsPostedOnceAndEveryBadOneNamed() {
        for rows in 1...17 {
            for first in 0..<rows {
                for second in first..<rows {
                    let poison: Set = [first, second]
                    let run = self.run(rows: rows, poison: poison)
                    #expect(run.posted == (0..<rows).filter { !poison.contains($0) })
                    #expect(run.quarantined == poison.sorted())
                }
            }
        }
    }

    @Test func onePoisonRowOf500CostsAboutTwoLog2Statements() {
        #expect((0..<500).map { self.run(rows: 500, poison: [$0]).statements }.max()! <= 20)
    }

    @Test func aBatchOfOnlyPoisonEnds() {
        let run = self.run(rows: 64, poison: Set(0..<64))
        #expect(run.posted.isEmpty)
        #expect(run.quarantined == Array(0..<64))
        #expect(run.statements == 127)
    }

    /// Data and constraints are the row's fault; anything else may pass when it is sent again (P5).
    @Test(arguments: [
        ("22003", true), ("22008", true), ("22P02", true), ("23502", true), ("23503", true), ("23505", true),
        ("23514", true), ("40001", false), ("40P01", false), ("55P03", false), ("57014", false),
        ("57P01", false), ("53300", false), ("08006", false), ("42501", false), ("42703", false),
        ("25006", false), ("XX000", false), ("TG001", false), ("TG404", false), ("02000", false),
        ("21000", false), ("2200", true), ("2", false), ("", false),
    ])
    func onlyClasses22And23ArePoison(_ code: String, _ isPoison: Bool) {
        #expect(
            PostgresError.refused(SQLState(code), constraint: nil, message: "").isPoison == isPoison)
        #expect(!PostgresError.unreachable(.timedOut).isPoison)
        #expect(!PostgresError.unexpectedResult("").isPoison)
    }
}

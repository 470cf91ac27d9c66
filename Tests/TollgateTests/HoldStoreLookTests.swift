import Billing
import Metering
import Testing

@testable import PostgresLedger
@testable import RedisHolds
@testable import Tollgate

/// What is wrong in the hold store, by how much, and what of it was only on its way.
@Suite struct HoldStoreLookTests {
    private static let hold = HoldID(millisecondsSinceEpoch: 1_790_000_000_000, randomA: 1, randomB: 2)

    private static func account(_ fields: [String: String]) -> AccountAudit {
        AccountAudit(account: 7, fields: fields.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] })
    }

    private static func look(
        _ fields: [String: String], ledger: Int64 = 1000, version: Int64 = 3, left: SettledEntries = .init()
    ) -> HoldStoreLook {
        var look = HoldStoreLook()
        look.checkEach([Self.account(fields)])
        look.checkBalances(
            [Self.account(fields)],
            [LedgerBalance(account: 7, generation: 1, version: version, balance: Millicredits(ledger))])
        look.checkTerminal(left)
        return look
    }

    private static let sound = ["p": "1000", "s": "3", "lg": "1", "H": "0", "U": "0", "f": "0"]

    private static func changed(_ fields: [String: String]) -> [String: String] {
        Self.sound.merging(fields) { $1 }
    }

    @Test func whatIsSoundHasNoDifference() {
        let look = Self.look(Self.changed(["h:\(Self.hold)": "5|x", "H": "5"]))
        #expect(look.differences.isEmpty && look.warnings.isEmpty)
    }

    /// Each tells its amount, so that the sum of what differs is not zero beside findings.
    @Test(
        arguments: [
            ("R1 ", ["H": "4"], 4), ("R2 ", ["U": "9"], 9), ("R3 ", ["p": "993"], -7),
            ("R3 ", ["p": "1400", "s": "4"], 400),
            ("R4 ", ["h:\(hold)": "5|x", "u:\(hold)": "6|x", "H": "5", "U": "6"], 5),
        ] as [(String, [String: String], Int64)])
    func eachDifferenceHasItsAmount(_ check: String, _ fields: [String: String], _ amount: Int64) {
        let found = Self.look(Self.changed(fields)).differences.map(\.finding)
        #expect(found.count == 1 && found.first?.detail.hasPrefix(check) == true, "\(found)")
        #expect(found.first?.amounts.map { $0.found - $0.expected } == amount)
        #expect(ReconciliationResult(.holdStore, found).mismatch == Int128(abs(amount)))
    }

    @Test func aSettledHoldThatIsLeftIsFoundWithItsAmount() {
        var left = SettledEntries()
        let entry = StoreEntry(
            hold: LedgerHold(account: 7, hold: Self.hold), kind: .held, amount: Millicredits(12))
        left.final = [.init(entry: entry, text: "left")]
        left.estimated = [.init(entry: entry, text: "estimated")]
        let look = Self.look(Self.sound, left: left)
        #expect(look.differences.map { $0.finding.amounts?.found } == [12])
        #expect(look.differences.map(\.text) == ["left"])
        #expect(look.warnings.map(\.rows) == [["estimated"]])
    }

    /// Redis against Postgres while traffic runs: a balance that is off by as much at its next version is off; one that
    /// came right, or is off by something else, was on its way.
    @Test func onlyWhatStandsInBothLooksIsADifference() {
        let first = Self.look(Self.changed(["p": "993"]))
        let moved = Self.look(Self.changed(["p": "893", "s": "4"]), ledger: 900, version: 4)
        #expect(moved.standing(after: first).differences.map(\.text).count == 1)
        #expect(Self.look(Self.sound).standing(after: first).differences.isEmpty)
        let other = Self.look(Self.changed(["p": "1001"]))
        #expect(other.standing(after: first).differences.isEmpty)
        #expect(first.standing(after: Self.look(Self.sound)).differences.isEmpty)
    }

    /// A busy account settles between the looks, which moves the ledger's balance only: still nobody had that version.
    @Test func aVersionThatTheLedgerNeverHadStandsWhateverIsSettled() {
        let first = Self.look(Self.changed(["p": "1400", "s": "90"]))
        let second = Self.look(Self.changed(["p": "1400", "s": "90"]), ledger: 700, version: 8)
        #expect(second.standing(after: first).differences.map(\.finding.amounts?.found) == [1400])
        #expect(second.standing(after: Self.look(Self.sound)).differences.isEmpty)
        // What differed at the same version is another thing.
        #expect(second.standing(after: Self.look(Self.changed(["p": "993"]))).differences.isEmpty)
    }

    @Test func whatCannotBeReadHasNoAmount() {
        let found = Self.look(Self.changed(["H": "x"])).differences
        #expect(found.contains { $0.check == "R1 fields can be read" && $0.finding.amounts == nil })
    }
}

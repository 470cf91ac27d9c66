import ArgumentParser
import Foundation
import LoadBench

struct SettleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settle",
        abstract: "The settler alone: a backlog of outcomes, and how fast the ledger takes it.",
        discussion: """
            Outcomes go through the product's own journal and settler into a Postgres of this machine; no proxy, and no hold \
            store to be told. Once over many accounts, once over a single one. 'tollgate verify' has the last word.
            """)

    @Option(help: "Outcomes in the backlog.") var exchanges = 300_000
    @Option(help: "Accounts that take turns in the first part.") var accounts = 1000
    @Option(help: "Directory of tollgate and mock-openai; default: where this program is.") var programs:
        String?

    /// More than one account is charged.
    private static let creditsEach: Int64 = 1_000_000_000

    func validate() throws {
        guard (1...100_000_000).contains(self.exchanges) else {
            throw ValidationError("--exchanges must be from 1 to 100000000")
        }
        guard (1...100_000).contains(self.accounts) else {
            throw ValidationError("--accounts must be from 1 to 100000")
        }
    }

    func run() async throws {
        let bar = ProgressBar()
        Interruption.watch()
        let setup = try CompareCommand.setup(programs: self.programs, layout: .unpinned)
        let card = try RateCardFile.newestName()
        let stack = try BenchStack.start(setup) { bar.say("    " + $0) }
        defer { stack.stop() }
        let made = try stack.makeAccounts(count: self.accounts, credits: Self.creditsEach) {
            bar.show("accounts", Double($0) / Double(self.accounts))
        }
        let accounts = made.map(\.account)
        for (name, payers) in [("\(self.accounts) accounts", accounts), ("one account", [accounts[0]])] {
            let run = BacklogRun(
                databaseURL: stack.databaseURL, journalDirectory: stack.laneJournalDirectory,
                accounts: payers,
                exchanges: self.exchanges)
            let times = try await run.play(priceID: "\(card)/gpt-4o-mini") { recorded, posted in
                bar.show(
                    "\(name): \(recorded) recorded, \(posted) posted", Double(posted) / Double(self.exchanges)
                )
            }
            bar.show("", nil)
            print("\(name): \(self.rate(times.recorded)) recorded, \(self.rate(times.drained)) posted")
        }
        bar.say("    tollgate verify")
        let report = try stack.verify()
        for text in report.violations + report.warnings { bar.say(text) }
        let charged = try stack.settledBalances(of: made).reduce(Int64(made.count) * Self.creditsEach * 1000)
        {
            $0 - $1
        }
        let due = Int64(2 * self.exchanges) * BacklogRun.chargeMillicredits
        if charged != due { bar.say("charged \(charged) millicredits, due \(due)") }
        let isRight = report.isClean && charged == due
        print(
            isRight
                ? "verify: clean, \(charged) millicredits charged"
                : "verify: \(report.violations.count) violations")
        if !isRight { throw ExitCode(1) }
    }

    private func rate(_ time: Duration) -> String {
        let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
        return "\(Int(Double(self.exchanges) / max(seconds, 1e-9)))/s (\(Int(seconds * 1000)) ms)"
    }
}

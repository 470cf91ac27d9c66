import ArgumentParser
import Metering
import PostgresLedger

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Every invariant of ledger, journals and hold store; exit 1 with the offending rows.",
        discussion: """
            May run beside everything else. Reads DATABASE_URL; JOURNAL_DIR (var/journal), the journals of this host; \
            and REDIS_URL. Without the last two their invariants are not checked, which is said.

            Ledger, on one snapshot:
              I1  every transaction has lines, and they sum to zero
              I2  a balance is the sum of its ledger lines; versions have no gaps
              I3  each line's balance_after is the one before plus its amount
              I4  per batch, account and day: usage plus corrections equals what was deducted
              I5  every hold has at most one settlement; corrections add up to the last outcome
              I6  every paid purchase has exactly one grant and one lot
              I7  clawed-back and frozen credits equal their target state (once purchases exist)
              I8  deferred revenue of each account is that of its lots, and these have of each kind what the ledger has
              C1  amount and cost are what usage with its parts, tier and rate card say, where it can be computed again
              A1  every entry of the audit log is as it was written, and follows the one before it
            Journals:
              I9  every outcome of every boot has its row in the ledger, or one of higher authority
            Hold store:
              R1  H is the sum of the holds
              R2  U is the sum of the captures
              R3  the balance equals the ledger's at the same version
              R4  no id is both held and captured
              R5  no id that the ledger has settled for good is left
              R6  the available amount is not negative (a warning: an over-hold, a claw-back or an epoch change may \
            have made it so)

            A violation is wrong money or history: exit 1. A warning is for a person to look at. A note is in order: \
            outcomes of a process that runs are on their way for a moment.
            """)

    @Flag(help: "An array of {check, severity, total, rows} on standard output.")
    var json = false

    func run() async throws {
        try await reporting {
            try await StoreSession.with { store in
                var findings = VerifyFindings()
                progress("the ledger")
                for finding in try await LedgerVerifier(pool: store.pool).verify() {
                    findings.add(VerifyFinding(finding))
                }
                try await ChargeCheck.run(store, &findings)
                progress("the audit log")
                try await AuditCheck.run(store, &findings)
                // The journals before the hold store: outcomes that are on their way have arrived by then.
                try await JournalCheck(store, root: JournalCommand.configuredDirectory()).run(&findings)
                try await HoldStoreCheck.run(store, &findings)
                try show(findings)
            }
        }
    }

    private func show(_ findings: VerifyFindings) throws {
        if self.json {
            print(try findings.json())
        } else {
            for finding in findings.all { print(finding.text) }
        }
        guard findings.isClean else { throw Exit.checkFailed }
        if !self.json { print("verify: clean") }
    }
}

/// Says on standard error what is being done: `verify` may take minutes.
func progress(_ what: String) { complain("verify: " + what) }

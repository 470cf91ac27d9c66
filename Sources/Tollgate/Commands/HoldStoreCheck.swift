import Metering
import NIOPosix
import PostgresLedger
import RedisHolds

/// Compares the hold store with itself and with the ledger (DESIGN §9, R1–R6).
enum HoldStoreCheck {
    /// An entry that is settled and still there after so long was not on its way out.
    private static let secondLook: Duration = .seconds(2)

    static func run(_ store: StoreSession, _ findings: inout VerifyFindings) async throws {
        var reader = SettingsReader.environment()
        guard let url = reader.secret("REDIS_URL") else {
            let text = "REDIS_URL is not set: the hold store was not looked at"
            complain(text)
            return findings.add(.note, "R1–R6 hold store", [text])
        }
        progress("the hold store")
        do { try await self.run(store, url, &findings, saying: progress) } catch is HoldStoreUnavailable {
            complain("the hold store is unavailable")
            throw Exit.unavailable
        }
    }

    /// - Parameter say: told what takes a while.
    static func run(
        _ store: StoreSession, _ url: Secret, _ findings: inout VerifyFindings, saying say: (String) -> Void
    ) async throws {
        let audit = try RedisAudit(
            url: url.value, group: MultiThreadedEventLoopGroup.singleton, logger: store.logger)
        let accounts = try await self.read(audit)
        self.checkEach(accounts, &findings)
        // The ledger is read after Redis, so a balance in Redis can only be behind it, never ahead.
        let verifier = LedgerVerifier(pool: store.pool)
        self.checkBalances(
            accounts, try await verifier.balances(of: accounts.map(\.account)), &findings)
        try await self.checkTerminal(accounts, audit, verifier, &findings, saying: say)
    }

    private static func read(_ audit: RedisAudit) async throws -> [AccountAudit] {
        do { return try await audit.run() } catch { throw HoldStoreUnavailable() }
    }

    /// R1, R2, R4, R6.
    private static func checkEach(_ accounts: [AccountAudit], _ findings: inout VerifyFindings) {
        for account in accounts {
            for problem in account.problems {
                findings.add(
                    .violation, self.check(of: problem), ["account \(account.account): \(problem.text)"])
            }
            if let available = account.available, available < 0 {
                findings.add(
                    .warning,
                    "R6 available ≥ 0 (unless an over-hold, a claw-back or an epoch change made it negative)",
                    [
                        "account \(account.account): available \(available), held \(account.held), "
                            + "captured \(account.captured), floor \(account.floor)"
                    ])
            }
        }
    }

    private static func check(of problem: AccountAudit.Problem) -> String {
        switch problem {
        case .heldSum: "R1 H is the sum of the holds"
        case .capturedSum: "R2 U is the sum of the captures"
        case .heldAndCaptured: "R4 no id is both held and captured"
        case .malformed: "R1 fields can be read"
        }
    }

    /// R3: `p` equals Postgres at version `s`.
    private static func checkBalances(
        _ accounts: [AccountAudit], _ balances: [LedgerBalance], _ findings: inout VerifyFindings
    ) {
        let known = Dictionary(uniqueKeysWithValues: balances.map { ($0.account, $0) })
        let check = "R3 balance equals the ledger at its version"
        for account in accounts {
            guard let stored = account.balance, let ledger = known[account.account],
                stored.generation == ledger.generation
            else { continue }
            if stored.version == ledger.version, stored.balance != ledger.balance {
                findings.add(
                    .violation, check,
                    [
                        "account \(account.account) has \(stored.balance) at version \(stored.version), "
                            + "the ledger \(ledger.balance)"
                    ])
            }
            if stored.version > ledger.version {
                findings.add(
                    .violation, check,
                    [
                        "account \(account.account) is at version \(stored.version), which the ledger never had"
                    ])
            }
        }
    }

    /// R5. What is settled leaves the hold store a moment later, so suspects are looked at twice.
    private static func checkTerminal(
        _ accounts: [AccountAudit], _ audit: RedisAudit, _ verifier: LedgerVerifier,
        _ findings: inout VerifyFindings, saying say: (String) -> Void
    ) async throws {
        var entries = self.entries(accounts)
        var found = try await verifier.verify(store: entries)
        if found.contains(where: { $0.severity == .violation }) {
            say("settled holds are still in the hold store; looking again in \(self.secondLook)")
            try await Task.sleep(for: self.secondLook)
            let left = Set(self.entries(try await self.read(audit)))
            entries.removeAll { !left.contains($0) }
            found = try await verifier.verify(store: entries)
        }
        for finding in found { findings.add(VerifyFinding(finding)) }
    }

    private static func entries(_ accounts: [AccountAudit]) -> [StoreEntry] {
        accounts.flatMap { account in
            account.holds.map { entry($0, .held, of: account.account) }
                + account.captures.map { entry($0, .captured, of: account.account) }
        }
    }

    private static func entry(
        _ settled: SettledHold, _ kind: StoreEntry.Kind, of account: AccountID
    ) -> StoreEntry {
        StoreEntry(hold: LedgerHold(account: account, hold: settled.hold), kind: kind)
    }
}

/// Redis could not be read.
struct HoldStoreUnavailable: Error {}

extension AccountAudit.Problem {
    fileprivate var text: String {
        switch self {
        case .heldSum(let stored, let computed): "H is \(stored), the holds sum to \(computed)"
        case .capturedSum(let stored, let computed): "U is \(stored), the captures sum to \(computed)"
        case .heldAndCaptured(let hold): "hold \(hold)"
        case .malformed(let field): "field \(field) is not as any script writes it"
        }
    }
}

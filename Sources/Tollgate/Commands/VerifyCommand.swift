import ArgumentParser
import Logging
import Metering
import NIOPosix
import PostgresLedger
import RedisHolds

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract:
            "Every invariant of the ledger, and of the hold store when REDIS_URL is set; exit 1 with the offending rows."
    )

    func run() async throws {
        try await reporting {
            try await StoreSession.with { store in
                var isClean = true
                for finding in try await LedgerVerifier(pool: store.pool).verify() {
                    isClean = isClean && finding.severity != .violation
                    print("\(finding.severity.rawValue): \(finding.check): \(finding.total) rows")
                    for row in finding.rows { print("  \(row)") }
                }
                isClean = try await HoldStoreCheck.run(store) && isClean
                guard isClean else { throw Exit.checkFailed }
                print("verify: clean")
            }
        }
    }
}

/// Compares the hold store with itself and with the ledger (DESIGN §9, R1–R6).
private enum HoldStoreCheck {
    /// Returns whether nothing is wrong; says what is.
    static func run(_ store: StoreSession) async throws -> Bool {
        var reader = SettingsReader.environment()
        guard let url = reader.secret("REDIS_URL") else {
            complain("REDIS_URL is not set: the hold store was not looked at")
            return true
        }
        let audit = try RedisAudit(
            url: url.value, group: MultiThreadedEventLoopGroup.singleton, logger: store.logger)
        let accounts: [AccountAudit]
        do {
            accounts = try await audit.run()
        } catch {
            complain("the hold store is unavailable")
            throw Exit.unavailable
        }
        // The ledger is read after Redis, so a balance in Redis can only be behind it, never ahead.
        let balances = try await LedgerVerifier(pool: store.pool).balances(of: accounts.map(\.account))
        let known = Dictionary(uniqueKeysWithValues: balances.map { ($0.account, $0) })
        var isClean = true
        for account in accounts {
            for problem in account.problems {
                isClean = false
                print("violation: hold store: account \(account.account): \(problem)")
            }
            guard let stored = account.balance, let ledger = known[account.account] else { continue }
            // R3: `p` equals Postgres at version `s`.
            if stored.generation == ledger.generation, stored.version == ledger.version,
                stored.balance != ledger.balance
            {
                isClean = false
                print(
                    "violation: hold store: account \(account.account) has \(stored.balance) at version "
                        + "\(stored.version), the ledger \(ledger.balance)")
            }
            if stored.generation == ledger.generation, stored.version > ledger.version {
                isClean = false
                print(
                    "violation: hold store: account \(account.account) is at a version that the ledger never had"
                )
            }
        }
        return isClean
    }
}

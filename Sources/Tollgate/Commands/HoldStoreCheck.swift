import Logging
import Metering
import NIOPosix
import PostgresLedger
import RedisHolds

/// Compares the hold store with itself and with the ledger, twice where something differs: while traffic runs, what is
/// settled leaves the hold store a moment later.
struct HoldStoreCheck {
    /// What still differs after so long, and by as much, was not on its way.
    private static let betweenLooks: Duration = .seconds(2)

    private let audit: RedisAudit
    private let verifier: LedgerVerifier

    init(pool: PostgresPool, _ url: Secret, _ logger: Logger) throws {
        self.audit = try RedisAudit(
            url: url.value, group: MultiThreadedEventLoopGroup.singleton, logger: logger)
        self.verifier = LedgerVerifier(pool: pool)
    }

    /// For `verify`.
    static func run(_ store: StoreSession, _ findings: inout VerifyFindings) async throws {
        var reader = SettingsReader.environment()
        guard let url = reader.secret("REDIS_URL") else {
            let text = "REDIS_URL is not set: the hold store was not looked at"
            complain(text)
            return findings.add(.note, "R1–R6 hold store", [text])
        }
        progress("the hold store")
        do {
            let look = try await HoldStoreCheck(pool: store.pool, url, store.logger).run(saying: progress)
            for difference in look.differences {
                findings.add(.violation, difference.check, [difference.text])
            }
            for warning in look.warnings { findings.add(warning) }
        } catch is HoldStoreUnavailable {
            complain("the hold store is unavailable")
            throw Exit.unavailable
        }
    }

    /// - Parameter say: told what takes a while.
    /// - Throws: `HoldStoreUnavailable`, and what the ledger throws.
    func run(saying say: (String) -> Void = { _ in }) async throws -> HoldStoreLook {
        let first = try await self.look()
        guard !first.differences.isEmpty else { return first }
        say("the hold store differs; looking again in \(Self.betweenLooks)")
        try await Task.sleep(for: Self.betweenLooks)
        return try await self.look().standing(after: first)
    }

    private func look() async throws -> HoldStoreLook {
        let accounts = try await self.read()
        var look = HoldStoreLook()
        look.checkEach(accounts)
        // The ledger is read after Redis, so a balance in Redis can only be behind it, never ahead.
        look.checkBalances(accounts, try await self.verifier.balances(of: accounts.map(\.account)))
        look.checkTerminal(try await self.verifier.settled(among: accounts.flatMap(Self.entries)))
        return look
    }

    private func read() async throws -> [AccountAudit] {
        do { return try await self.audit.run() } catch { throw HoldStoreUnavailable() }
    }

    private static func entries(_ account: AccountAudit) -> [StoreEntry] {
        account.holds.map { Self.entry($0, .held, of: account.account) }
            + account.captures.map { Self.entry($0, .captured, of: account.account) }
    }

    private static func entry(
        _ stored: SettledHold, _ kind: StoreEntry.Kind, of account: AccountID
    ) -> StoreEntry {
        StoreEntry(
            hold: LedgerHold(account: account, hold: stored.hold), kind: kind, amount: stored.amount)
    }
}

/// Redis could not be read.
struct HoldStoreUnavailable: Error {}

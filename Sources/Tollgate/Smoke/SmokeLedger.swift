import Metering
import PostgresLedger

/// What a smoke test does in the ledger itself. Keyed by the user, whose name nobody else has.
enum SmokeLedger {
    private static let actor = "cli:smoke-test"

    /// - Parameter millicredits: as a gift.
    static func give(_ millicredits: Int64, to user: String, url: Secret) async throws {
        try await self.reporting {
            try await StoreSession.with(url: url) { store in
                let account = try await store.accounts().findOrCreate(userID: user).account
                try await self.adjust(store, account, millicredits, key: "smoke:\(user):give")
            }
        }
    }

    /// Brings the balance to zero and suspends the user.
    static func end(_ user: String, url: Secret) async throws {
        try await self.reporting {
            try await StoreSession.with(url: url) { store in
                let book = store.accounts()
                guard let account = try await book.account(userID: user) else { return }
                let balance = account.balance.balance.value
                if balance != 0 {
                    try await self.adjust(store, account.account, -balance, key: "smoke:\(user):end")
                }
                _ = try await book.setStatus(
                    of: account.account, to: .suspended, actor: self.actor, reason: "end of a smoke test")
            }
        }
    }

    private static func adjust(
        _ store: StoreSession, _ account: AccountID, _ millicredits: Int64, key: String
    ) async throws {
        guard let amount = Millicredits(exactly: millicredits) else {
            preconditionFailure("balances and gifts of a smoke test are small")
        }
        _ = try await store.ledger.grant(
            Grant(account: account, amount: amount, kind: .adjustment, sourceRef: key, reason: "smoke test"))
    }

    private static func reporting(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let stop as SmokeStop {
            throw stop
        } catch let error as PostgresError where error.isUnreachable {
            throw SmokeStop.failed("DATABASE_URL cannot be reached")
        } catch {
            throw SmokeStop.failed("DATABASE_URL: \(error)")
        }
    }
}

import Metering
import Testing

@testable import PostgresLedger

/// Credits come in through one door, once per key.
@Suite(.serialized) struct GrantTests {
    private func purchase(_ account: AccountID, _ amount: Int64 = 9_990_000, key: String = "pi_1") -> Grant {
        Grant(
            account: account, amount: Millicredits(amount), kind: .purchase, sourceRef: key,
            reason: "starter",
            paidCents: 999)
    }

    @Test func fiftyParallelCallsWithOneKeyGrantOnce() async throws {
        let database = try await TestDatabase.migrated(poolSize: 8)
        let account = try await database.account("user")
        let grant = self.purchase(account)
        let receipts = try await withThrowingTaskGroup { group in
            for _ in 0..<50 { group.addTask { try await database.ledger.grant(grant) } }
            return try await group.reduce(into: [Grant.Receipt]()) { $0.append($1) }
        }
        #expect(receipts.count { !$0.repeated } == 1)
        #expect(Set(receipts.map(\.transaction)).count == 1)
        #expect(Set(receipts.map(\.balance)).count == 1)
        #expect(try await database.balance(account) == 9_990_000)
        #expect(try await database.integer("SELECT count(*) FROM credit_lot WHERE credits = 9990000") == 1)
        #expect(try await database.verifier.verify().isEmpty)
    }

    /// The first result, not today's balance: the caller shows what its own purchase did.
    @Test func aRepetitionAnswersWithTheFirstResult() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user")
        let first = try await database.ledger.grant(self.purchase(account))
        _ = try await database.ledger.grant(self.purchase(account, 1000, key: "pi_2"))
        let again = try await database.ledger.grant(self.purchase(account))
        #expect(again.repeated && again.balance == first.balance && again.transaction == first.transaction)
        #expect(try await database.balance(account) == 9_991_000)
    }

    @Test func theSameKeyWithOtherContentIsAConflict() async throws {
        let database = try await TestDatabase.migrated()
        let (account, other) = (try await database.account("user"), try await database.account("other"))
        let grant = self.purchase(account)
        _ = try await database.ledger.grant(grant)
        var changed = [grant, grant, grant, grant, grant]
        changed[0].amount = Millicredits(1)
        changed[1].account = other
        changed[2].kind = .trial
        changed[3].reason = "another"
        changed[4].paidCents = 998
        for grant in changed {
            await #expect(throws: Grant.Failure.idempotencyConflict) {
                try await database.ledger.grant(grant)
            }
        }
        #expect(try await database.balance(account) == 9_990_000)
        #expect(try await database.balance(other) == 0)
        #expect(try await database.verifier.verify().isEmpty)
    }

    @Test func aNegativeAdjustmentTakesCreditsBackWithoutALot() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 100)
        let grant = Grant(
            account: account, amount: Millicredits(-250), kind: .adjustment, sourceRef: "adj-1",
            reason: "mistake")
        let receipt = try await database.ledger.grant(grant)
        #expect(receipt.balance.balance == Millicredits(-150))
        #expect(receipt.balance.version == 2)
        #expect(try await database.integer("SELECT count(*) FROM credit_lot") == 1)
        #expect(try await database.verifier.verify().isEmpty)
    }

    @Test func whatIsNotAGrantIsNamed() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await database.account("user", balance: 100)
        func failure(_ change: (inout Grant) -> Void) async -> Grant.Failure? {
            var grant = self.purchase(account, 5, key: "k")
            change(&grant)
            do {
                _ = try await database.ledger.grant(grant)
                return nil
            } catch { return error as? Grant.Failure }
        }
        #expect(await failure { $0.amount = .zero } == .zeroAmount)
        #expect(await failure { $0.amount = Millicredits(-1) } == .negativeAmount)
        #expect(await failure { $0.paidCents = -1 } == .invalidPayment)
        #expect(await failure { $0.sourceRef = "" } == .invalidSourceRef)
        #expect(await failure { $0.sourceRef = "a\u{0}b" } == .invalidSourceRef)
        #expect(await failure { $0.account = 4711 } == .noSuchAccount)
        #expect(await failure { $0.amount = Millicredits(Millicredits.magnitudeMax) } == .balanceOutOfRange)
        #expect(try await database.balance(account) == 100)
        #expect(try await database.verifier.verify().isEmpty)
    }

    @Test func historyCannotBeChanged() async throws {
        let database = try await TestDatabase.migrated()
        _ = try await database.account("user", balance: 100)
        for sql in [
            "UPDATE credit_ledger SET amount_millicredits = 1", "DELETE FROM credit_ledger",
            "TRUNCATE credit_ledger", "UPDATE ledger_transaction SET reason = ''", "DELETE FROM contra_line",
            "DELETE FROM account", "UPDATE account SET user_id = 'somebody else'", "DELETE FROM credit_lot",
            "DELETE FROM usage_correction",
        ] {
            let error = await #expect(throws: PostgresError.self, "\(sql)") {
                try await database.execute(sql)
            }
            #expect(error?.sqlState == .appendOnly, "\(sql)")
        }
    }
}

import Billing
import Metering
import Testing

@testable import PostgresLedger

/// Wherever the ledger is set back to: once all events have come again, in whatever order, every user has what they had.
@Suite(.serialized) struct RestoredHistoryTests {
    @Test(arguments: 1...6 as ClosedRange<UInt64>) func aLedgerThatWasSetBackEndsWhereItWas(_ seed: UInt64)
        async throws
    {
        var history = try await RestoredHistory(seed: seed)
        try await history.run()
        let (before, after) = (
            try await history.state(of: history.lost), try await history.state(of: history.restored)
        )
        #expect(before == after && !before.isEmpty, "seed \(seed)")
        for database in [history.lost, history.restored] {
            #expect(
                try await database.verifier.verify().filter { $0.severity == .violation }.isEmpty,
                "seed \(seed)")
        }
    }
}

/// One Stripe, the ledger that was lost, and the one that took its place: of the same id, with the users of the backup.
private struct RestoredHistory {
    let lost: TestDatabase
    let restored: TestDatabase
    private let stripe = FakeStripe()
    private var random: SeededGenerator
    private var events: [StripeEventRecord] = []

    init(seed: UInt64) async throws {
        self.random = SeededGenerator(seed: seed)
        self.lost = try await TestDatabase.migrated(poolSize: 4)
        self.restored = try await TestDatabase.migrated(poolSize: 4)
        let backedUp = Int.random(in: 0...4, using: &self.random)
        for user in 0..<5 {
            let account = try await self.lost.account("user-\(user)")
            if user < backedUp { _ = try await self.restored.account("user-\(user)") }
            for index in 0..<Int.random(in: 1...2, using: &self.random) {
                try await self.sell(to: account, "pi_\(user)_\(index)")
            }
        }
    }

    private mutating func sell(to account: AccountID, _ payment: String) async throws {
        let purchase = try await self.lost.starter(account)
        var snapshot = try await self.lost.labelled(purchase, payment)
        let cents = Int64.random(in: 1...999, using: &self.random)
        switch Int.random(in: 0..<5, using: &self.random) {
        case 0: snapshot.refunds = [.init(id: "re_\(payment)", amountCents: cents, status: .succeeded)]
        case 1:
            snapshot.disputes = [
                .init(
                    id: "dp_\(payment)", amountCents: cents, status: .needsResponse, feeCents: 1500,
                    withdrawnCents: -cents)
            ]
        default: break
        }
        self.stripe.put(snapshot)
        // Some carry their payment's metadata, and a refund's event does not.
        self.events.append(self.lost.told("evt_\(payment)_a", payment: payment, carrying: snapshot.metadata))
        self.events.append(self.lost.told("evt_\(payment)_b", payment: payment))
    }

    mutating func run() async throws {
        for event in self.events { try await self.lost.settle(event, self.stripe) }
        var left = (self.events + self.events).shuffled(using: &self.random)
        while let event = left.popLast() {
            if Int.random(in: 0..<5, using: &self.random) == 0 { self.stripe.failNext(1) }
            // Several at a time, as Stripe sends them; what fails comes again.
            let others = (0..<min(left.count, Int.random(in: 0...3, using: &self.random))).map { _ in
                left.removeLast()
            }
            let (database, stripe) = (self.restored, self.stripe)
            left = try await withThrowingTaskGroup { group in
                for event in others + [event] {
                    group.addTask { () async throws -> StripeEventRecord? in
                        do {
                            try await database.settle(event, stripe)
                            return nil
                        } catch is FakeStripe.Gone { return event }
                    }
                }
                return try await group.reduce(into: left) { if let failed = $1 { $0.insert(failed, at: 0) } }
            }
        }
    }

    /// By user: number, balance, floor, block, and what was paid for.
    func state(of database: TestDatabase) async throws -> [String] {
        try await database.pool.run { connection in
            try connection.run(
                """
                SELECT concat_ws(' ', a.user_id, a.account_id, b.balance_millicredits, b.floor_millicredits, b.blocked,
                    (SELECT string_agg(p.purchase_id || p.status || p.payment_intent_id, ',' ORDER BY p.purchase_id)
                     FROM purchase p WHERE p.account_id = a.account_id))
                FROM account a JOIN credit_balance b USING (account_id) ORDER BY 1
                """
            ).rows.map { try $0.text(0) }
        }
    }
}

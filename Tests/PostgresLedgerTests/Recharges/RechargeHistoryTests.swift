import Billing
import Metering
import Testing

@testable import PostgresLedger

/// Whatever dies between any two steps, in whatever order answers and events come: one charge per attempt, one grant
/// per charge, never more a day than was agreed to.
@Suite(.serialized) struct RechargeHistoryTests {
    @Test func everyHistoryChargesOncePerAttempt() async throws {
        let database = try await TestDatabase.migrated(poolSize: 4)
        var paid = 0
        for seed in UInt64(1)...40 {
            var history = try await RechargeHistory(database, seed: seed)
            try await history.run()
            let wrong = try await history.mismatches()
            #expect(wrong.isEmpty, "seed \(seed): \(wrong)")
            paid += history.paid.count
        }
        #expect(paid > 40)
        let findings = try await database.verifier.verify().filter { $0.severity == .violation }
        #expect(findings.isEmpty, "\(findings)")
    }
}

/// One owner and a Stripe that remembers keys.
private struct RechargeHistory {
    private static let limit: Int64 = 2997
    private let account: AccountID
    private let database: TestDatabase
    private let stripe = FakeStripe()
    private var random: SeededGenerator
    private var now: Int64
    /// Payment by purchase, as by its idempotency key.
    private var payments: [PurchaseID: (purchase: Purchase, day: Int64)] = [:]
    private(set) var paid: Set<PurchaseID> = []
    private var events = 0

    init(_ database: TestDatabase, seed: UInt64) async throws {
        self.database = database
        self.random = SeededGenerator(seed: seed)
        self.now = PostgresLedgerClock.now
        self.account = try await database.account("recharging-\(seed)")
        // So much is never there.
        try await database.book.setGate(of: self.account, floor: Millicredits(1_000_000_000))
        try await database.turnOn(self.account, limit: Self.limit)
    }

    private func payment(_ purchase: PurchaseID) -> String { "pi_\(purchase)" }

    mutating func run() async throws {
        for _ in 0..<40 {
            switch Int.random(in: 0..<6, using: &self.random) {
            case 0...2: try await self.look()
            case 3: self.now += Int64.random(in: 1_000...4_000_000, using: &self.random)
            case 4: try await self.tell()
            default: self.bankDecides()
            }
        }
        for purchase in self.payments.keys { try await self.settle(purchase) }
    }

    /// One pass of an instance that may die behind every step.
    private mutating func look() async throws {
        guard let order = try await self.database.decide(self.account, now: self.now),
            self.survives()
        else { return }
        let opened: OpenedRecharge
        if let before = order.opened {
            opened = before
        } else {
            opened = try #require(try await self.database.open(order, now: self.now))
        }
        guard self.survives() else { return }
        let id = opened.purchase.id
        if self.payments[id] == nil {
            self.payments[id] = (opened.purchase, order.attempt.startedAt / 86_400_000)
            self.charge(opened.purchase)
        }
        if !self.survives() {
            // No answer, or none that is understood.
            guard Bool.random(using: &self.random) else { return }
            return try await self.database.ledger.rechargeFailed(
                order, purchase: id, .outcomeUnknown, now: self.now)
        }
        try await self.settle(id)
    }

    private mutating func survives() -> Bool { Int.random(in: 0..<4, using: &self.random) > 0 }

    private mutating func charge(_ purchase: Purchase) {
        let outcome = Int.random(in: 0..<5, using: &self.random)
        var snapshot = PaymentSnapshot.made(
            for: purchase, self.payment(purchase.id),
            status: outcome < 3 ? .succeeded : outcome == 3 ? .processing : .requiresPaymentMethod)
        if outcome == 4 { snapshot.failureCode = "insufficient_funds" }
        if outcome < 3 { self.paid.insert(purchase.id) }
        self.stripe.put(snapshot)
    }

    private mutating func bankDecides() {
        for (id, made) in self.payments.sorted(by: { $0.key.description < $1.key.description }) {
            guard let now = try? self.stripe.payment(self.payment(id)), now.status == .processing else {
                continue
            }
            if Bool.random(using: &self.random) {
                self.stripe.put(.made(for: made.purchase, self.payment(id)))
                self.paid.insert(id)
            } else {
                self.stripe.change(self.payment(id)) {
                    $0.status = .requiresPaymentMethod
                    $0.failureCode = "returned"
                }
            }
        }
    }

    private mutating func tell() async throws {
        let known = self.payments.keys.sorted { $0.description < $1.description }
        guard let id = known.randomElement(using: &self.random) else { return }
        try await self.settle(id)
    }

    private mutating func settle(_ id: PurchaseID) async throws {
        self.events += 1
        try await self.database.settle(
            self.database.event(
                "evt_\(self.account)_\(self.events)", self.payments[id]?.purchase, payment: self.payment(id)),
            self.stripe)
    }

    func mismatches() async throws -> [String] {
        var wrong: [String] = []
        let balance = try await self.database.balance(self.account)
        if balance != Int64(self.paid.count) * 9_990_000 { wrong.append("balance \(balance)") }
        let attempts = try await self.database.integer(
            "SELECT count(DISTINCT attempt_key) FROM purchase WHERE account_id = \(self.account)")
        if attempts < self.payments.count {
            wrong.append("\(self.payments.count) charges, \(attempts) attempts")
        }
        let days = Dictionary(grouping: self.paid.compactMap { self.payments[$0]?.day }) { $0 }
        for (day, charged) in days where Int64(charged.count) * 999 > Self.limit {
            wrong.append("\(charged.count) on day \(day)")
        }
        return wrong
    }
}

import Billing
import Foundation
import Metering
import Testing

@testable import PostgresLedger

/// Any history of payments, refunds, disputes, lost, repeated and reordered events, crashes, and people who suspend and
/// lift ends where Stripe and they say.
@Suite(.serialized) struct PaymentHistoryTests {
    /// `TOLLGATE_PAYMENT_HISTORIES` says how many, `TOLLGATE_SEED` where they begin.
    private static let histories = Self.number("TOLLGATE_PAYMENT_HISTORIES") ?? 60
    private static let firstSeed = Self.number("TOLLGATE_SEED") ?? 1

    private static func number(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) }
    }

    @Test func everyHistoryEndsAtItsTarget() async throws {
        let database = try await TestDatabase.migrated(poolSize: 4)
        var ends: Set<PaymentHistory.End> = []
        for seed in Self.firstSeed..<Self.firstSeed + Self.histories {
            var history = try await PaymentHistory(database, seed: UInt64(seed))
            try await history.run()
            let mismatches = try await history.mismatches()
            #expect(mismatches.isEmpty, "seed \(seed): \(mismatches)")
            ends.insert(history.end)
            if seed.isMultiple(of: 7) { _ = try await database.ledger.keepBooks() }
        }
        _ = try await database.ledger.keepBooks()
        let findings = try await database.verifier.verify().filter { $0.severity == .violation }
        #expect(findings.isEmpty, "seeds from \(Self.firstSeed): \(findings)")
        #expect(
            try await database.integer("SELECT count(*) FROM ledger_transaction WHERE kind = 'reversal'") > 0)
        // A world in which nobody is suspended or lifted would prove nothing.
        #expect(
            ends == Set(PaymentHistory.End.allCases) || Self.number("TOLLGATE_PAYMENT_HISTORIES") != nil,
            "\(ends)")
    }

    /// The check of suspensions can fail, too.
    @Test func aSuspensionThatNobodyOrderedIsFound() async throws {
        let database = try await TestDatabase.migrated()
        var history = try await PaymentHistory(database, seed: 7)
        try await history.run()
        #expect(try await history.mismatches().isEmpty)
        try await database.execute("UPDATE credit_balance SET blocked = NOT blocked")
        #expect(try await !history.mismatches().isEmpty)
    }

    /// The check above can fail: a grant of one millicredit too many is found.
    @Test func aWrongMillicreditIsFound() async throws {
        let database = try await TestDatabase.migrated()
        var history = try await PaymentHistory(database, seed: 7)
        try await history.run()
        _ = try await database.ledger.grant(
            Grant(
                account: history.account, amount: Millicredits(1), kind: .promotional, sourceRef: "planted",
                reason: "planted"))
        #expect(try await !history.mismatches().isEmpty)
    }
}

/// One account, up to three purchases, and what happens to them.
struct PaymentHistory {
    /// Why the account is suspended at last, or why it is not.
    enum End: CaseIterable {
        case active, lifted, disputed, lost, suspendedByAPerson
    }

    let account: AccountID
    private let database: TestDatabase
    private let stripe = FakeStripe()
    private var random: SeededGenerator
    private var purchases: [Purchase] = []
    private var pending: [StripeEventRecord] = []
    private var told = 0
    private var refunds = 0
    private var spent: Int64 = 0
    /// What the last reading of each payment said of its disputes.
    private var known: [String: [String: DisputeHold]] = [:]
    private var lifted: Set<String> = []
    private var isSuspendedByAPerson = false
    private var wrong: [String] = []

    init(_ database: TestDatabase, seed: UInt64) async throws {
        self.database = database
        self.random = SeededGenerator(seed: seed)
        self.account = try await database.account("history-\(seed)")
        for index in 0..<Int.random(in: 1...3, using: &self.random) {
            let purchase = try await database.starter(self.account)
            self.purchases.append(purchase)
            self.stripe.put(
                .made(
                    for: purchase, self.payment(index),
                    status: Bool.random(using: &self.random) ? .succeeded : .processing))
            self.tell(index)
        }
    }

    private func payment(_ index: Int) -> String { "pi_\(self.account)_\(index)" }

    mutating func run() async throws {
        for _ in 0..<Int.random(in: 5...30, using: &self.random) {
            if Int.random(in: 0..<3, using: &self.random) == 0 { self.happen() }
            try await self.deliverSome()
            if Int.random(in: 0..<4, using: &self.random) == 0 { try await self.spend() }
            if Int.random(in: 0..<12, using: &self.random) == 0 { try await self.decide() }
            try await self.lookAtTheGate()
        }
        // Stripe repeats until it is answered.
        self.stripe.failNext(0)
        while !self.pending.isEmpty { try await self.deliver(0, keeps: false) }
    }

    /// Whatever the balance is: a settlement never asks.
    private mutating func spend() async throws {
        let amount = Int64.random(in: 1...5_000_000, using: &self.random)
        self.spent += amount
        _ = try await self.database.ledger.settle([Outcomes().final(self.account, amount)])
    }

    /// A person suspends the account, or makes it active: that lifts what is known at this moment and no more.
    private mutating func decide() async throws {
        self.isSuspendedByAPerson = Int.random(in: 0..<5, using: &self.random) == 0
        if !self.isSuspendedByAPerson { self.lifted.formUnion(self.known.values.flatMap(\.keys)) }
        _ = try await self.database.book.setStatus(
            of: self.account, to: self.isSuspendedByAPerson ? .suspended : .active, actor: "test",
            reason: "decided")
    }

    private var standing: [String: DisputeHold] {
        self.known.values.reduce(into: [:]) { $0.merge($1) { one, _ in one } }
            .filter { !self.lifted.contains($0.key) }
    }

    var end: End {
        if self.isSuspendedByAPerson { return .suspendedByAPerson }
        if self.standing.values.contains(.open) { return .disputed }
        if !self.standing.isEmpty { return .lost }
        return self.known.values.allSatisfy(\.isEmpty) ? .active : .lifted
    }

    private mutating func lookAtTheGate() async throws {
        let gate = try #require(try await self.database.ledger.summary(of: self.account)).gate
        let expected = self.isSuspendedByAPerson || !self.standing.isEmpty
        if gate.blocked != expected {
            self.wrong.append("blocked \(gate.blocked) with \(self.standing), lifted \(self.lifted)")
        }
    }

    private mutating func tell(_ index: Int) {
        self.told += 1
        let names = Bool.random(using: &self.random) ? self.purchases[index] : nil
        self.pending.append(
            self.database.event("evt_\(self.account)_\(self.told)", names, payment: self.payment(index)))
    }

    private mutating func happen() {
        let index = Int.random(in: 0..<self.purchases.count, using: &self.random)
        let dice = Int.random(in: 0..<6, using: &self.random)
        let cents = Int64.random(in: 1...999, using: &self.random)
        self.refunds += 1
        let (refunds, purchase) = (self.refunds, self.purchases[index])
        self.stripe.change(self.payment(index)) { payment in
            guard payment.status == .succeeded else {
                if dice < 4 { payment = .made(for: purchase, payment.paymentIntent) }
                return
            }
            let taken = payment.refunds.filter { $0.status != .failed }.reduce(0) { $0 + $1.amountCents }
            switch dice {
            case 0, 1:
                let left = 999 - taken
                if left > 0 {
                    payment.refunds.append(
                        .init(id: "re_\(refunds)", amountCents: min(left, cents), status: .pending))
                }
            case 2: if !payment.refunds.isEmpty { payment.refunds[0].status = .failed }
            case 3:
                if !payment.refunds.isEmpty { payment.refunds[payment.refunds.count - 1].status = .succeeded }
            case 4:
                payment.disputes.append(
                    .init(
                        id: "dp_\(refunds)", amountCents: cents, status: .needsResponse, feeCents: 1500,
                        withdrawnCents: -cents))
            default:
                if !payment.disputes.isEmpty {
                    payment.disputes[payment.disputes.count - 1].status =
                        cents.isMultiple(of: 2) ? .won : .lost
                    if cents.isMultiple(of: 2) {
                        payment.disputes[payment.disputes.count - 1].withdrawnCents = 0
                    }
                }
            }
        }
        self.tell(index)
    }

    private mutating func deliverSome() async throws {
        guard !self.pending.isEmpty else { return }
        // A crash between the reading and the commit: the delivery fails and comes again.
        if Int.random(in: 0..<4, using: &self.random) == 0 { self.stripe.failNext(1) }
        let any = Int.random(in: 0..<self.pending.count, using: &self.random)
        try await self.deliver(any, keeps: Int.random(in: 0..<3, using: &self.random) == 0)
    }

    /// - Parameter keeps: it will be delivered once more.
    private mutating func deliver(_ index: Int, keeps: Bool) async throws {
        do {
            let outcome = try await self.database.settle(self.pending[index], self.stripe)
            if outcome != .repeated { try self.know(self.pending[index]) }
            if !keeps { self.pending.remove(at: index) }
        } catch is FakeStripe.Gone {}
    }

    private mutating func know(_ event: StripeEventRecord) throws {
        guard case .payment(let hint) = event.kind, let payment = hint.paymentIntent else { return }
        let disputes = try self.stripe.payment(payment).disputes
        self.known[payment] = disputes.reduce(into: [:]) { known, dispute in
            switch dispute.status {
            case .needsResponse: known[dispute.id] = .open
            case .lost: known[dispute.id] = .lost
            default: break
            }
        }
    }

    /// Compares the ledger with the targets of all payments, computed from nothing.
    func mismatches() async throws -> [String] {
        var wrong = self.wrong
        var (credits, frozen, standing) = (Int64(0), Int64(0), Set<String>())
        for (index, purchase) in self.purchases.enumerated() {
            let target = try PaymentTarget(purchase, try self.stripe.payment(self.payment(index)))
            credits += target.granted.value - target.clawed.value
            frozen += target.frozen.value
            standing.formUnion(target.disputes.keys)
        }
        let balance = try await self.database.balance(self.account)
        credits -= self.spent
        if balance != credits { wrong.append("balance \(balance), target \(credits)") }
        guard let gate = try await self.database.ledger.summary(of: self.account)?.gate else {
            return ["no account"]
        }
        if gate.floor.value != frozen { wrong.append("floor \(gate.floor.value), frozen \(frozen)") }
        standing.subtract(self.lifted)
        if gate.blocked != (self.isSuspendedByAPerson || !standing.isEmpty) {
            wrong.append("blocked \(gate.blocked), disputes that are not lifted: \(standing)")
        }
        return wrong
    }
}

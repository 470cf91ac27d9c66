import Foundation
import Metering
import Testing

@testable import Billing

/// Whatever happened in whichever order: in the end our side is where it would be had it read each payment once.
@Suite struct PaymentHistoryTests {
    private static func setting(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    /// `PAYMENT_HISTORIES` runs more of them; `PAYMENT_SEED` replays from one.
    @Test func everyHistoryEndsAtItsTarget() throws {
        let first = Self.setting("PAYMENT_SEED") ?? UInt64.random(in: 0...UInt64(UInt32.max))
        print("payment histories, seed \(first)")
        var seen = Seen()
        for seed in first..<first + (Self.setting("PAYMENT_HISTORIES") ?? 5000) {
            do {
                var history = try PaymentHistory(seed: seed)
                try history.run()
                for at in history.payments.indices { try self.compare(history, at) }
                try self.compareSums(history)
                seen.count(history)
            } catch {
                Issue.record("PAYMENT_SEED=\(seed) PAYMENT_HISTORIES=1: \(error)")
                return
            }
        }
        // A world in which nothing happens would prove nothing.
        #expect(seen.isEverything || Self.setting("PAYMENT_HISTORIES") != nil, "\(seen)")
    }

    /// Against the sums that a person would do with Stripe's dashboard.
    private func compare(_ history: PaymentHistory, _ at: Int) throws {
        let (purchase, snapshot) = (history.purchases[at], history.payments[at].snapshot)
        let state = history.posted[at].state
        let isPaid = snapshot.status == .succeeded
        try #require(state.granted == (isPaid ? purchase.credits : .zero))
        try #require((purchase.status == .paid) == isPaid)
        guard isPaid else { return }
        let (paid, credits) = (purchase.priceUSDCents, purchase.credits.value)
        var gone: Int64 = 0
        for refund in snapshot.refunds where refund.status != .failed && refund.status != .canceled {
            gone += refund.amountCents
        }
        var open: Int64 = 0
        var disputes: [String: DisputeHold] = [:]
        for dispute in snapshot.disputes {
            if dispute.status == .lost {
                gone += dispute.amountCents
                disputes[dispute.id] = .lost
            }
            if dispute.status == .needsResponse {
                open += dispute.amountCents
                disputes[dispute.id] = .open
            }
        }
        let reversed = min(paid, gone)
        try #require(state.reversedCents == reversed)
        try #require(state.clawed.value == (credits * reversed + paid - 1) / paid)
        let frozen = min((credits * min(open, paid) + paid - 1) / paid, credits - state.clawed.value)
        try #require(state.frozen.value == frozen && state.isDisputed == (open > 0))
        let gate = history.world.gates[at] ?? (0, [:])
        try #require(gate.frozen == frozen && gate.disputes == disputes && state.disputes == disputes)
        let lot = try #require(history.world.lots["stripe:payment:\(snapshot.paymentIntent)"])
        try #require(lot == (credits, state.clawed.value, reversed))
        // From scratch it is the same.
        let scratch = PaymentPosted.nothing.following(snapshot, purchase)
        try #require(scratch.state == state)
    }

    /// The books know where each cent is.
    private func compareSums(_ history: PaymentHistory) throws {
        let books = history.world.books
        let atStripe = history.payments.reduce(0) { $0 + $1.balance }
        try #require(books["stripe", default: 0] == atStripe)
        let atBanks = history.payments.flatMap(\.snapshot.disputes).filter { $0.status == .needsResponse }
        try #require(books["disputed", default: 0] == atBanks.reduce(0) { $0 + $1.amountCents })
        let owed = history.posted.reduce(0) { $0 + $1.state.paidCents - $1.state.reversedCents }
        try #require(books["deferred", default: 0] == -owed)
    }
}

/// What happened in all histories together.
private struct Seen {
    private var unpaid = 0
    private var refunded = 0
    private var frozen = 0
    private var lost = 0
    private var lostTwice = 0
    private var whole = 0

    mutating func count(_ history: PaymentHistory) {
        for state in history.posted.map(\.state) {
            if !state.isGranted { self.unpaid += 1 }
            if state.clawedByRefunds > .zero { self.refunded += 1 }
            if state.frozen > .zero { self.frozen += 1 }
            if state.lostCents > 0 { self.lost += 1 }
            if state.cash.lostBeyondPaidCents > 0 { self.lostTwice += 1 }
            if state.isGranted, state.clawed == state.granted { self.whole += 1 }
        }
    }

    var isEverything: Bool {
        [self.unpaid, self.refunded, self.frozen, self.lost, self.lostTwice, self.whole].allSatisfy { $0 > 0 }
    }
}

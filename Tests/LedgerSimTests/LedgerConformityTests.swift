import Foundation
import LedgerSim
import Metering
import PostgresLedger
import Testing

/// The model is worth what this shows: after any batch, model and `settle()` say the same.
@Suite(.serialized) struct LedgerConformityTests {
    static let batches = 2500

    @Test func modelAndPostgresAgreeOnEveryBatch() async throws {
        let seed = ProcessInfo.processInfo.environment["TOLLGATE_SEED"].flatMap { UInt64($0) }
        var traffic = Traffic(seed: seed ?? UInt64.random(in: 0...UInt64.max))
        let replay = Comment(rawValue: "TOLLGATE_SEED=\(traffic.seed)")
        let real = try await RealLedger.fresh(users: Traffic.accounts)
        traffic.known = real.accounts
        var model = LedgerModel()
        for account in real.accounts { model.open(account) }
        for number in 0..<Self.batches {
            if traffic.chance(12) {
                let grant = traffic.grant()
                let (expected, answer) = (model.grant(grant), try await real.grant(grant))
                try #require(Self.withoutGeneration(expected) == answer, replay)
            }
            let batch = traffic.batch()
            let receipt = try await real.ledger.settle(batch)
            let expected = model.settle(batch.map { LedgerEntry($0) }, now: Int64(Traffic.now()))
            let where_ = Comment(rawValue: "batch \(number) of \(replay): \(batch)")
            try #require(Self.stamps(receipt) == Self.stamps(expected), where_)
            try #require(receipt.quarantined == expected.quarantined, where_)
            try #require(receipt.conflicts == expected.conflicts, where_)
        }
        #expect(model.violations() == [], replay)
        #expect(model.settledCount > Self.batches / 2 && !model.conflicts.isEmpty, replay)
        #expect(model.quarantine.count > 50, replay)
        try await self.compareTheEnd(model, real, replay)
    }

    /// Every row, correction, conflict and quarantined outcome; and the ledger's own verifier.
    private func compareTheEnd(_ model: LedgerModel, _ real: RealLedger, _ replay: Comment) async throws {
        let entries = model.settlements.map { $0 }
        let settled = try await real.ledger.settled(
            among: entries.map { LedgerHold(account: $0.account, hold: $0.hold) })
        #expect(settled.count == entries.count, replay)
        for entry in entries {
            let stored = settled[LedgerHold(account: entry.account, hold: entry.hold)]
            #expect(stored?.amount == entry.amount, replay)
            #expect(stored?.authority == entry.authority && stored?.digest == entry.digest, replay)
        }
        let parts = try await real.parts()
        #expect(entries.allSatisfy { parts[$0.hold] == $0.parts }, replay)
        #expect(entries.contains { !$0.parts.isEmpty }, replay)
        #expect(try await real.count("usage_events") == Int64(model.settledCount), replay)
        let corrections = entries.reduce(0) { $0 + model.corrections(of: $1.key) }
        #expect(try await real.count("usage_correction") == Int64(corrections), replay)
        #expect(try await real.setAside("settlement_conflict") == Self.text(model.conflicts), replay)
        #expect(try await real.setAside("settlement_quarantine") == Self.text(model.quarantine), replay)
        let findings = try await LedgerVerifier(pool: real.pool).verify()
        #expect(findings.filter { $0.severity == .violation } == [], replay)
    }

    private static func text(_ entries: Set<LedgerModel.SetAside>) -> Set<String> {
        Set(entries.map { "\($0.account) \($0.hold) \($0.digest)" })
    }

    /// A copy of a template database has a generation of its own.
    private static func stamps(_ receipt: SettlementReceipt) -> [[Int64]] {
        receipt.balances.map { [$0.account, $0.version, $0.balance.value] }
    }

    private static func withoutGeneration(_ answer: LedgerModel.GrantAnswer) -> LedgerModel.GrantAnswer {
        guard case .granted(var balance, let repeated) = answer else { return answer }
        balance.generation = 0
        return .granted(balance, repeated: repeated)
    }
}

import Foundation
import LedgerSim
import LocalStores
import Logging
import Metering
import PostgresLedger

/// A migrated database on the test process' own server.
struct RealLedger {
    let pool: PostgresPool
    let ledger: PostgresLedger
    let accounts: [AccountID]

    static func fresh(users: Int) async throws -> RealLedger {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        // The first use starts a server, which takes seconds: not on a thread of the cooperative pool.
        let url = try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try TemporaryStores.shared.freshDatabase() })
            }
        }
        var limits = PostgresPool.Limits()
        limits.waitMax = .seconds(120)
        limits.jobTimeout = .seconds(60)
        let pool = PostgresPool(
            try PostgresConfiguration(url: url), size: 1, limits: limits, logger: logger)
        _ = try await Migrator().migrate(pool)
        let book = AccountBook(
            pool: pool, hasher: KeyHasher(peppers: [Array(repeating: UInt8(ascii: "p"), count: 32)]))
        var accounts: [AccountID] = []
        for number in 0..<users {
            accounts.append(try await book.findOrCreate(userID: "user\(number)").account)
        }
        return RealLedger(
            pool: pool, ledger: PostgresLedger(pool: pool, logger: logger), accounts: accounts)
    }

    /// The answer with generation 0.
    func grant(_ grant: LedgerModel.Grant) async throws -> LedgerModel.GrantAnswer {
        do {
            let receipt = try await self.ledger.grant(
                Grant(
                    account: grant.account, amount: grant.amount, kind: .trial, sourceRef: grant.sourceRef,
                    reason: grant.remarks))
            var balance = receipt.balance
            balance.generation = 0
            return .granted(balance, repeated: receipt.repeated)
        } catch let failure as Grant.Failure {
            switch failure {
            case .noSuchAccount: return .noSuchAccount
            case .idempotencyConflict: return .idempotencyConflict
            case .zeroAmount: return .zeroAmount
            case .balanceOutOfRange: return .balanceOutOfRange
            case .negativeAmount, .invalidPayment, .invalidSourceRef: throw failure
            }
        }
    }

    func count(_ table: String) async throws -> Int64 {
        try await self.pool.run { try $0.run("SELECT count(*) FROM \(table)").one().int(0) }
    }

    /// Parts of usage of every hold, as they count.
    func parts() async throws -> [HoldID: [UsagePart]] {
        try await self.ledger.foldUsage(into: [:]) { parts, page in
            for record in page { parts[record.hold] = record.usage?.parts }
        }
    }

    /// Keys of `settlement_conflict` or `settlement_quarantine`.
    func setAside(_ table: String) async throws -> Set<String> {
        try await self.pool.run { connection in
            Set(
                try connection.run("SELECT concat_ws(' ', account_id, hold_id, digest) FROM \(table)")
                    .rows.map { try $0.text(0) })
        }
    }
}

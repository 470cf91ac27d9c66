import Billing
import Logging
import Payments
import PostgresLedger
import StripeAPI

/// Compares one day on all sides. Changes nothing but the books, which are brought up to date first.
struct Reconciler {
    let pool: PostgresPool
    let ledger: PostgresLedger
    /// nil: no key is set.
    let stripe: StripeClient?
    /// nil: not configured.
    let redisURL: Secret?
    let logger: Logger

    /// In the order of `ReconciliationCheck`.
    ///
    /// - Throws: when the ledger itself is away.
    func run(_ day: UTCDay) async throws -> ReconciliationReport {
        let trouble = try await self.bringBooksUpToDate()
        var results = try await self.ledger.reconcile(day)
        if let trouble,
            let costs = results.firstIndex(where: { $0.check == .openAICosts && $0.outcome == .mismatch })
        {
            results[costs] = ReconciliationResult(.openAICosts, without: .unavailable, because: trouble)
        }
        results.append(try await PostgresLedger.unlessRefused(.holdStore) { try await self.holdStore() })
        results.append(try await PostgresLedger.unlessRefused(.payments) { try await self.payments(day) })
        let order = ReconciliationCheck.allCases
        results.sort { order.firstIndex(of: $0.check) ?? 0 < order.firstIndex(of: $1.check) ?? 0 }
        return ReconciliationReport(day: day, results: results)
    }

    /// Why that could not be done: costs that are not posted are no mismatch.
    private func bringBooksUpToDate() async throws -> String? {
        do {
            _ = try await self.ledger.keepBooks(waitsForCosts: true)
            return nil
        } catch let error as PostgresError where error.isAnswer {
            self.logger.error("the books could not be brought up to date", metadata: ["error": "\(error)"])
        }
        // It may have been one account's book, and then the costs are there.
        do {
            try await self.ledger.postCosts(waits: true)
            return nil
        } catch let error as PostgresError where error.isAnswer {
            return "the costs could not be posted: \(error)"
        }
    }

    private func holdStore() async throws -> ReconciliationResult {
        guard let redisURL else {
            return ReconciliationResult(
                .holdStore, without: .notConfigured, because: "REDIS_URL is not set")
        }
        do {
            let look = try await HoldStoreCheck(pool: self.pool, redisURL, self.logger).run()
            return ReconciliationResult(.holdStore, look.differences.map(\.finding))
        } catch is HoldStoreUnavailable {
            return ReconciliationResult(
                .holdStore, without: .unavailable, because: "the hold store could not be read")
        }
    }

    private func payments(_ day: UTCDay) async throws -> ReconciliationResult {
        guard let stripe else {
            return ReconciliationResult(
                .payments, without: .notConfigured, because: "STRIPE_SECRET_KEY is not set")
        }
        return try await PaymentReconciliation(stripe: stripe, ledger: self.ledger).run(day)
    }
}

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
    /// - Throws: when the ledger itself cannot be read.
    func run(_ day: UTCDay) async throws -> ReconciliationReport {
        _ = try await self.ledger.keepBooks()
        var results = try await self.ledger.reconcile(day)
        results.append(try await self.holdStore())
        results.append(try await self.payments(day))
        let order = ReconciliationCheck.allCases
        results.sort { order.firstIndex(of: $0.check) ?? 0 < order.firstIndex(of: $1.check) ?? 0 }
        return ReconciliationReport(day: day, results: results)
    }

    private func holdStore() async throws -> ReconciliationResult {
        guard let redisURL else {
            return ReconciliationResult(
                .holdStore, without: .notConfigured, because: "REDIS_URL is not set")
        }
        var findings = VerifyFindings()
        let store = StoreSession(pool: self.pool, ledger: self.ledger, logger: self.logger)
        do {
            try await HoldStoreCheck.run(store, redisURL, &findings, saying: { _ in })
        } catch is HoldStoreUnavailable {
            return ReconciliationResult(
                .holdStore, without: .unavailable, because: "the hold store could not be read")
        }
        let violations = findings.all.filter { $0.severity == .violation }
        return ReconciliationResult(
            .holdStore,
            violations.flatMap { finding in
                finding.rows.map { ReconciliationFinding(finding.check, nil, $0) }
            }, total: violations.reduce(0) { $0 + $1.total })
    }

    private func payments(_ day: UTCDay) async throws -> ReconciliationResult {
        guard let stripe else {
            return ReconciliationResult(
                .payments, without: .notConfigured, because: "STRIPE_SECRET_KEY is not set")
        }
        return try await PaymentReconciliation(stripe: stripe, ledger: self.ledger).run(day)
    }
}

import Billing
import Logging
import PostgresLedger
import StripeAPI

/// The clock of the books: recognises revenue every five minutes and shortly after midnight (UTC), reconciles each day
/// that is over, with those on which nobody ran, and reads the figures of the gauges. One instance at a time works; each tells what
/// is stored.
final class FinanceParts: Sendable {
    let gauges = FinanceGauges()
    private let pool: PostgresPool
    private let ledger: PostgresLedger
    private let reconciler: Reconciler
    private let holder: String
    private let logger: Logger

    private static let booksLeaseSeconds: Int64 = 600
    /// Longer than a reconciliation; a dead instance is replaced after it.
    private static let reconcileLeaseSeconds: Int64 = 3600

    /// - Parameter holder: name of this instance among those that run.
    init(
        database: PostgresConfiguration, redisURL: Secret, stripe: StripeClient?, holder: String,
        logger: Logger
    ) {
        // A reconciliation may keep its connection for minutes; the books go on beside it.
        self.pool = PostgresPool(database, size: 2, logger: logger)
        self.ledger = PostgresLedger(pool: self.pool, logger: logger)
        self.reconciler = Reconciler(
            pool: self.pool, ledger: self.ledger, stripe: stripe, redisURL: redisURL, logger: logger)
        self.holder = holder
        self.logger = logger
    }

    /// Until it is cancelled. What fails is logged, and done at the next time.
    func run() async {
        await withTaskGroup { group in
            group.addTask { await self.onSchedule("the books were not kept") { try await self.keepBooks() } }
            group.addTask {
                await self.onSchedule("the day was not reconciled") { try await self.reconcileDueDays() }
            }
        }
    }

    /// What is connected may not be the primary any more.
    func reconnect() { self.pool.reconnect() }

    func shutdown() { self.pool.shutDownAndWait() }

    private func onSchedule(_ complaint: String, _ body: () async throws -> Void) async {
        while !Task.isCancelled {
            do { try await body() } catch  where !Task.isCancelled {
                self.logger.warning("\(complaint)", metadata: ["error": "\(error)"])
            } catch {}
            try? await Task.sleep(for: BooksSchedule.pause(after: Clock.wallMilliseconds()))
        }
    }

    private func keepBooks() async throws {
        var failure = FirstFailure()
        if try await self.ledger.takeJob("books", for: self.holder, seconds: Self.booksLeaseSeconds) != nil {
            // Books that cannot go on have figures all the same; gauges that stand still would hide that they lag.
            try await failure.trying { _ = try await self.ledger.keepBooks() }
            try await failure.trying { try await self.ledger.storeFinanceReading() }
        }
        try await failure.trying { try await self.refresh() }
        try failure.throwIfAny()
    }

    /// All days that are due, one after the other; each is stored before the next is chosen.
    private func reconcileDueDays() async throws {
        while let day = try await self.takeDueDay() {
            try Task.checkCancellation()
            let startedAt = Clock.wallMilliseconds()
            // When the ledger is away, storing it fails as well, and the day counts as not tried.
            let report = try await ReconciliationReport.of(day) { try await self.reconciler.run(day) }
            try await self.ledger.store(report, .daily, startedAt: startedAt)
            self.tell(report)
            try await self.noteAuditHead()
            try await self.refresh()
        }
    }

    /// Outside of the database: `audit verify --head` tells by it that nothing was cut off since.
    private func noteAuditHead() async throws {
        let (number, hash) = try await self.ledger.auditHead()
        self.logger.notice("audit log", metadata: ["entries": "\(number)", "head": "\(hash)"])
    }

    /// nil: nothing is due, or another instance is at it.
    private func takeDueDay() async throws -> UTCDay? {
        let now = Clock.wallMilliseconds()
        guard try await self.ledger.dayToReconcile(at: now) != nil,
            try await self.ledger.takeJob(
                "reconcile", for: self.holder, seconds: Self.reconcileLeaseSeconds) != nil
        else { return nil }
        // Whoever had the lease before us may have done it.
        return try await self.ledger.dayToReconcile(at: now)
    }

    private func tell(_ report: ReconciliationReport) {
        for result in report.results where result.outcome == .mismatch || result.outcome == .unavailable {
            self.logger.error(
                "a reconciliation needs a person",
                metadata: [
                    "day": "\(report.day)", "check": "\(result.check.rawValue)",
                    "outcome": "\(result.outcome.rawValue)", "findings": "\(result.total)",
                    "mismatch_millicredits": "\(result.mismatch)",
                ])
        }
    }

    /// Small reads: every instance does it every five minutes.
    private func refresh() async throws {
        self.gauges.update(
            FinanceGauges.Reading(
                books: try await self.ledger.financeReading(),
                standing: try await self.ledger.standingDifferences(),
                deadEvents: try await self.ledger.deadEvents(),
                lastComplete: try await self.ledger.lastCompleteReconciliation()))
    }
}

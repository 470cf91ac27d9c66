import Billing
import ControlPlane
import Metering
import Synchronization

/// What the operator's routes are joined to, in memory: account 1, its key 1, service key 2, run 1.
final class FakeAdmin: AccountAdministering, HoldReading, BooksReading, RateCardDesk, FlagDesk,
    EventReplaying,
    AuditReading, ReviewDesk, DashboardReading
{
    /// The dashboards take too long.
    let isSlow = Mutex(false)
    /// What the next change ends with, made or not.
    let failure = Mutex<(any Error)?>(nil)
    let simulations = Mutex(0)
    let notes = Mutex<[ChangeNote]>([])
    let queries = Mutex<[AccountQuery]>([])
    /// What reports were asked for.
    let spans = Mutex<[[Int64?]]>([])

    static func ports(staff: FakeStaff, _ admin: FakeAdmin = FakeAdmin()) -> AdminPorts {
        AdminPorts(
            staff: staff, accounts: admin, holds: admin, books: admin, cards: admin, flags: admin,
            replay: admin,
            audit: admin, reviews: admin, dashboards: admin)
    }

    private func note(_ note: ChangeNote) { self.notes.withLock { $0.append(note) } }

    // MARK: Accounts

    private static let account = AdministeredAccount(
        account: 1, userID: "ada", status: .active, balance: Millicredits(3_720), floor: .zero,
        isBlocked: false,
        limits: .none, holds: nil, createdAt: 0)

    func accounts(_ query: AccountQuery) async throws -> [AdministeredAccount] {
        self.queries.withLock { $0.append(query) }
        return "ada".hasPrefix(query.prefix) && query.after < 1 ? [Self.account] : []
    }

    func administered(_ account: AccountID) async throws -> AdministeredAccount? {
        account == 1 ? Self.account : nil
    }

    func accountStanding(_ account: AccountID) async throws -> AccountStanding {
        AccountStanding(actor: nil, reason: nil, changedAt: nil, disputes: [])
    }

    private func check(_ account: AccountID) throws {
        guard account == 1 else { throw AdministrationRefusal.noSuchAccount }
    }

    func create(userID: String, note: ChangeNote) async throws -> AdministeredAccount {
        self.note(note)
        return Self.account
    }

    func set(_ status: AccountStatus, of account: AccountID, note: ChangeNote) async throws {
        try self.check(account)
        self.note(note)
    }

    func adjust(
        _ account: AccountID, by amount: Millicredits, key: String, note: ChangeNote
    ) async throws -> (balance: Millicredits, isRepeated: Bool) {
        try self.check(account)
        self.note(note)
        if let failure = self.failure.withLock({ $0 }) { throw failure }
        return (amount, false)
    }

    func set(_ limits: RequestLimitOverrides, of account: AccountID, note: ChangeNote) async throws {
        try self.check(account)
        self.note(note)
    }

    func set(_ holds: HoldPolicy?, of account: AccountID, note: ChangeNote) async throws {
        try self.check(account)
        self.note(note)
    }

    private static let key = AdministeredKey(
        keyID: 1, account: 1, label: "ada", prefix: "tg_ada", createdAt: 0, revokedAt: nil, limits: .none)

    func keys(of account: AccountID?, before: Int64?, limit: Int64) async throws -> [AdministeredKey] {
        [Self.key]
    }

    func key(_ keyID: Int64) async throws -> AdministeredKey? {
        var key = Self.key
        key.keyID = keyID
        if keyID == 2 { key.account = nil }
        return 1...2 ~= keyID ? key : nil
    }

    func createKey(
        for account: AccountID?, label: String, note: ChangeNote
    ) async throws -> (key: AdministeredKey, secret: String) {
        self.note(note)
        return (Self.key, "tg_secret")
    }

    func revoke(_ keyID: Int64, note: ChangeNote) async throws {
        guard 1...2 ~= keyID else { throw AdministrationRefusal.noSuchKey }
        self.note(note)
    }

    // MARK: The rest

    func liveHolds(of account: AccountID) async -> [OpenHold]? { [] }
    func capSpend(of account: AccountID) async -> CapSpend? {
        CapSpend(session: Millicredits(8_000), day: Millicredits(1_234_500))
    }
    func balanceOfBooks() async throws -> TrialBalance { TrialBalance() }
    func reconciliationRuns(before: Int64?, limit: Int64) async throws -> [ReconciliationRun] { [] }
    func findings(of run: Int64) async throws -> [StoredFinding]? { run == 1 ? [] : nil }
    func figures() async throws -> FinanceFigure? { nil }
    func appliedCards() async throws -> [AppliedRateCard] { [] }
    func text(ofCard card: String, version: String) async throws -> String? { nil }

    private static let review = CardReview(active: nil, card: "c@1", problems: [], changes: [])

    /// Of a card that says so, the second line is doubted.
    func review(_ yaml: String) async throws -> CardReview {
        var review = Self.review
        if yaml.contains("doubtful") {
            review.problems = [
                .init(severity: "warning", path: "version", message: "is odd", line: 2),
                .init(severity: "notice", path: "(file)", message: "is short"),
            ]
        }
        return review
    }

    func simulate(_ yaml: String, days: Int64) async throws -> CardHistory {
        self.simulations.withLock { $0 += 1 }
        if let failure = self.failure.withLock({ $0 }) { throw failure }
        return CardHistory(total: .init(name: "total", events: 0, now: 0, then: 0), models: [])
    }

    func apply(_ yaml: String, note: ChangeNote) async throws -> (review: CardReview, isNew: Bool) {
        self.note(note)
        return (Self.review, true)
    }

    private static let flag = FlagState(
        name: .charging, value: "true", environmentValue: "true", source: .environment, change: nil,
        version: 3)

    func flags() async throws(FlagRefusal) -> [FlagState] { [Self.flag] }

    func setFlag(
        _ name: ControlName, to value: String, expecting: Int64?, _ note: ChangeNote
    ) async throws(FlagRefusal) -> FlagReceipt {
        do throws(ControlProblem) { _ = try Controls.canonical(name, value) } catch { throw .badValue(error) }
        guard expecting ?? 3 == 3 else { throw .changedMeanwhile(version: 3) }
        self.note(note)
        return FlagReceipt(before: Self.flag, after: Self.flag)
    }

    func clearFlag(
        _ name: ControlName, expecting: Int64?, _ note: ChangeNote
    ) async throws(FlagRefusal) -> FlagReceipt {
        try await self.setFlag(name, to: "true", expecting: expecting, note)
    }

    func replay(_ choice: ReplayChoice, note: ChangeNote) async throws(ReplayRefusal) -> ReplayResult {
        guard choice != .event("evt_unknown") else { throw .unknownEvent }
        self.note(note)
        return ReplayResult(events: 1, posted: 0, open: 0)
    }

    func dismiss(_ event: String, note: ChangeNote) async throws(ReplayRefusal) {
        guard event != "evt_unknown" else { throw .unknownEvent }
        guard event != "evt_applied" else { throw .notDead }
        self.note(note)
    }

    func auditEntries(_ query: AuditQuery) async throws -> [AuditEntry] { [] }

    func verifyAudit(
        heads: [[UInt8]], progress: @escaping @Sendable (Int64) -> Void
    ) async throws -> AuditVerdict { AuditVerdict(entries: 0, head: "", problems: []) }

    // MARK: Reviews and dashboards

    private static let review1 = AccountReview(
        id: 1, account: 1, user: "ada", day: UTCDay(daysSinceEpoch: 20_000)!, spent: Millicredits(9_000_000),
        mean: Millicredits(1_000_000), multiplier: 5, state: .open, openedAt: 0, decision: nil)

    func reviews(_ state: AccountReview.State?, limit: Int64) async throws(ReviewRefusal) -> [AccountReview] {
        state == nil || state == .open ? [Self.review1] : []
    }

    func clearReview(
        of user: String, seen: Int64?, _ note: ChangeNote
    ) async throws(ReviewRefusal) -> AccountReview {
        guard user == "ada" else { throw .noOpenReview }
        guard seen ?? 1 == 1 else { throw .anotherIsOpen }
        self.note(note)
        return Self.review1
    }

    func suspendReviewed(
        _ user: String, seen: Int64?, _ note: ChangeNote
    ) async throws(ReviewRefusal) -> AccountReview {
        try await self.clearReview(of: user, seen: seen, note)
    }

    private static let days = (20_000...20_001).compactMap { UTCDay(daysSinceEpoch: $0) }

    func financeDays(_ days: Int64) async throws -> [FinanceDay] {
        if self.isSlow.withLock({ $0 }) { throw DashboardTooSlow(seconds: 15) }
        return Self.days.map {
            FinanceDay(
                day: $0, purchases: 9_990_000, deductions: 1_500_000, revenue: 2_500_000, cost: 750_000,
                liability: 8_490_000, deferredRevenue: 7_250_000)
        }
    }

    func topModels(limit: Int64) async throws -> [ModelTotals] {
        [
            ModelTotals(
                model: "gpt-4o-mini", exchanges: 1234, inputTokens: 5678, outputTokens: 910, charged: 420_000,
                cost: 210_000)
        ]
    }

    func shadowReport(from: Int64?, to: Int64?) async throws -> ShadowReport {
        if self.isSlow.withLock({ $0 }) { throw DashboardTooSlow(seconds: 15) }
        self.spans.withLock { $0.append([from, to]) }
        var report = ShadowReport()
        guard from != 0 else { return report }
        for (model, shadow) in [("gpt-5", Int64(1_500)), ("gpt-4o", 9_000)] {
            report.add(
                WaivedExchange(
                    account: 1, user: "ada", day: Self.days[0], model: model, shadow: Millicredits(shadow),
                    cost: PicoUSD(750_000_000), available: Millicredits(2_000)))
        }
        return report
    }

    func checkoutDays(_ days: Int64) async throws -> [CheckoutDay] {
        if self.isSlow.withLock({ $0 }) { throw DashboardTooSlow(seconds: 15) }
        return Self.days.map { CheckoutDay(day: $0, started: 3, opened: 2, paid: 1) }
    }
}

import Billing
import Logging
import Metering
import StripeAPI
import Synchronization
import Testing

@testable import Payments

/// One pass over the accounts that are due.
@Suite struct RechargerTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private static func recharger(
        _ ledger: FakeRecharges, isEnabled: Bool = true, heard: LedgerPosition? = nil
    ) throws -> Recharger {
        let stripe = StripeClient(
            http: OutboundHTTP(OutboundHTTP.Configuration()),
            base: try OutboundBase(parsing: "http://127.0.0.1:1"),
            key: try #require(StripeKey("sk_test_0123456789")), logger: Self.logger)
        var controls = Controls()
        controls.autoRecharge = isEnabled
        let desk = PaymentDesk(
            settings: .init(
                signingSecrets: [], returnOrigins: [], controls: FixedControls(controls)),
            stripe: stripe, ledger: ledger, settling: ledger, offers: FakeOffers(),
            counters: PaymentCounters(), logger: Self.logger, now: { 1_790_000_000_000 })
        return Recharger(
            desk: desk, ledger: ledger, heard: { heard }, dailyMaxCents: 5000,
            logger: Self.logger)
    }

    /// A row that cannot be read, or a lock that is not given: the cards of everybody else are charged all the same.
    @Test func theTroubleOfOneAccountIsNotTheOthers() async throws {
        let ledger = FakeRecharges(due: [1, 2, 3]) { if $0 != 3 { throw Trouble() } }
        await (try Self.recharger(ledger)).look()
        #expect(ledger.decided == [1, 2, 3])
    }

    @Test func whoeverIsCancelledGoesOnWithNobody() async throws {
        let ledger = FakeRecharges(due: [1, 2, 3]) { if $0 == 2 { throw CancellationError() } }
        await (try Self.recharger(ledger)).look()
        #expect(ledger.decided == [1, 2])
    }

    /// A ledger that is an older one than was heard of does not know what was charged.
    @Test func eachDecisionIsToldHowFarTheLedgerHadCome() async throws {
        let ledger = FakeRecharges(due: [1, 2])
        let heard = LedgerPosition(origin: "here", timeline: 3, generation: 7, flushed: 9)
        await (try Self.recharger(ledger, heard: heard)).look()
        let context = RechargeContext(
            now: 1_790_000_000_000, livemode: false, dailyMaxCents: 5000, heard: heard)
        #expect(ledger.contexts == [context, context])
    }

    // MARK: The settings

    @Test func itIsTurnedOffWhileItIsNotOffered() async throws {
        let ledger = FakeRecharges()
        let recharger = try Self.recharger(ledger, isEnabled: false)
        _ = try await recharger.turnOffRecharge(of: 7)
        #expect(ledger.wishes == [nil])
        await #expect(throws: RechargeRefusal.notEnabled) { try await recharger.recharge(of: 7) }
        await #expect(throws: RechargeRefusal.notEnabled) {
            try await recharger.turnOnRecharge(
                of: 7, threshold: .zero, packageCode: "starter", dailyLimitCents: 999)
        }
    }

    @Test func whatIsAgreedToIsThePackageOfTodayWithinTheBounds() async throws {
        let ledger = FakeRecharges()
        let recharger = try Self.recharger(ledger)
        for (threshold, limit, failure) in [
            (9_990_000, 999, .thresholdNotBelowCredits), (0, 5001, .limitAboveMaximum(cents: 5000)),
        ] as [(Int64, Int64, RechargeSettings.Failure)] {
            await #expect(throws: RechargeRefusal.settings(failure)) {
                try await recharger.turnOnRecharge(
                    of: 7, threshold: Millicredits(threshold), packageCode: "starter", dailyLimitCents: limit)
            }
        }
        _ = try await recharger.turnOnRecharge(
            of: 7, threshold: Millicredits(9_989_999), packageCode: "starter", dailyLimitCents: 5000)
        #expect(ledger.wishes.map { $0?.priceUSDCents } == [999])
    }
}

private struct Trouble: Error {}

private struct FakeOffers: BillingReading {
    func summary(of account: AccountID) async throws -> AccountSummary? { nil }
    func usage(_ query: UsageQuery) async throws -> [UsageLine] { [] }
    func packages() async throws -> [CreditPackage] {
        [
            CreditPackage(
                code: "starter", version: 1, name: "Starter", priceUSDCents: 999, credits: 9990,
                bonusCredits: 0)
        ]
    }
}

/// Decides on nothing, and remembers who was asked about.
private final class FakeRecharges: RechargeLedger {
    private struct State {
        var decided: [AccountID] = []
        var contexts: [RechargeContext] = []
        var wishes: [RechargeSettings?] = []
    }

    private let state = Mutex(State())
    private let due: [AccountID]
    private let decide: @Sendable (AccountID) throws -> Void

    init(due: [AccountID] = [], decide: @escaping @Sendable (AccountID) throws -> Void = { _ in }) {
        self.due = due
        self.decide = decide
    }

    var decided: [AccountID] { self.state.withLock { $0.decided } }
    var contexts: [RechargeContext] { self.state.withLock { $0.contexts } }
    var wishes: [RechargeSettings?] { self.state.withLock { $0.wishes } }

    func rechargesDue(now: Int64, limit: Int64) async throws -> [AccountID] { self.due }

    func decideRecharge(of account: AccountID, _ context: RechargeContext) async throws -> RechargeOrder? {
        self.state.withLock {
            $0.decided.append(account)
            $0.contexts.append(context)
        }
        try self.decide(account)
        return nil
    }

    func openRecharge(
        _ purchase: Purchase, of order: RechargeOrder, paymentMethod: String, _ context: RechargeContext
    ) async throws -> OpenedRecharge? { throw Trouble() }

    func rechargeFailed(
        _ order: RechargeOrder, purchase: PurchaseID?, _ failure: RechargeFailure, now: Int64
    ) async throws { throw Trouble() }

    func rechargeStatus(of account: AccountID, dailyMaxCents: Int64) async throws -> RechargeStatus {
        RechargeStatus(machine: Recharge(account: account), isPackageChanged: false, lastAttempt: nil)
    }

    func setRecharge(_ settings: RechargeSettings?, of account: AccountID) async throws {
        self.state.withLock { $0.wishes.append(settings) }
    }

    func open(_ purchase: Purchase, urls: ReturnURLs?, paymentMethod: String?) async throws -> Bool { false }
    func sessionAnswered(_ session: String?, for purchase: PurchaseID) async throws {}
    func purchase(_ id: PurchaseID) async throws -> Purchase? { nil }
    func label(of purchase: PurchaseID) async throws -> PurchaseLabel { throw Trouble() }
    func customer(of account: Int64, livemode: Bool) async throws -> String? { nil }
    func forgetCustomer(_ customer: String, of account: Int64) async throws {}
    func settle(
        _ hint: PaymentHint, event: StripeEventRecord?, reader: any PaymentReading
    ) async throws -> PaymentOutcome { throw Trouble() }
    func keep(_ event: StripeEventRecord, deadBecause reason: String?) async throws -> Bool { false }
}

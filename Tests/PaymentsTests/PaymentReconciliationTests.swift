import Billing
import Metering
import StripeAPI
import Synchronization
import Testing

@testable import Payments

/// What is asked of Stripe for a day, what is read twice, and what a failure means.
@Suite struct PaymentReconciliationTests {
    private static let day = UTCDay(daysSinceEpoch: 20_000)!

    /// Both sides; a test changes them between the looks.
    private final class Sides: PaymentListing, ReconciledPayments {
        struct State {
            var listed: [ListedPayment] = []
            var whole: [String: ListedPayment] = [:]
            var reversed: Set<String> = []
            var standing: Set<String> = []
            var records: [PaymentRecord] = []
            /// Of the records, those that the ledger names by itself.
            var unfinished: Set<String> = []
            var failures: [String: StripeFailure] = [:]
            var listingFailure: StripeFailure?
            var read: [String] = []
        }

        let state = Mutex(State())
        let isLive = false

        func ledgerID() async throws -> LedgerID { LedgerID(HoldID(high: 1, low: 2)) }

        func payments(
            created window: CreationWindow, of ledger: LedgerID
        ) async throws(StripeFailure) -> [ListedPayment] {
            self.state.withLock(\.listed)
        }

        func reversedPayments(created window: CreationWindow) async throws(StripeFailure) -> Set<String> {
            let (failure, reversed) = self.state.withLock { ($0.listingFailure, $0.reversed) }
            if let failure { throw failure }
            return reversed
        }

        func payment(_ paymentIntent: String) async throws(StripeFailure) -> ListedPayment {
            let (failure, whole) = self.state.withLock { state in
                state.read.append(paymentIntent)
                return (state.failures[paymentIntent], state.whole[paymentIntent])
            }
            if let failure { throw failure }
            guard let whole else { throw StripeFailure(.notFound(parameter: nil)) }
            return whole
        }

        func standingPayments() async throws -> Set<String> { self.state.withLock(\.standing) }

        func paymentRecords(
            of day: UTCDay, named paymentIntents: [String], livemode: Bool
        ) async throws -> [PaymentRecord] {
            let (records, unfinished) = self.state.withLock { ($0.records, $0.unfinished) }
            return records.filter { unfinished.union(paymentIntents).contains($0.paymentIntent) }
        }

        func change(_ body: (inout State) -> Void) { self.state.withLock { body(&$0) } }

        func run(meanwhile: @escaping @Sendable (inout State) -> Void = { _ in }) async throws
            -> ReconciliationResult
        {
            try await PaymentReconciliation(listing: self, ledger: self) { self.change(meanwhile) }
                .run(PaymentReconciliationTests.day)
        }
    }

    private static func record(
        _ payment: String, refunded: Int64 = 0, granted: Int64 = 9_990_000
    ) -> PaymentRecord {
        PaymentRecord(
            purchase: "p", paymentIntent: payment, granted: Millicredits(granted), paidCents: 999,
            refundedCents: refunded, lostCents: 0, withdrawnCents: 0, frozen: .zero, isDisputed: false,
            hasMovedBack: false)
    }

    private static func listed(
        _ payment: String, purchase: String? = "p", reversed: ListedPayment.Reversed? = nil
    ) -> ListedPayment {
        ListedPayment(
            paymentIntent: payment, purchase: purchase, hasSucceeded: true, receivedCents: 999,
            reversed: reversed)
    }

    private static let untouched = ListedPayment.Reversed(refundedCents: 0, lostCents: 0)

    /// A payment of an earlier day with a dispute of today, whose events never came.
    private static func disputed() -> Sides {
        let sides = Sides()
        sides.change { state in
            state.reversed = ["pi_1"]
            state.records = [Self.record("pi_1")]
            state.whole["pi_1"] = Self.listed(
                "pi_1",
                reversed: .init(refundedCents: 0, lostCents: 0, withdrawnCents: 999, disputedCents: 999))
        }
        return sides
    }

    @Test func aDisputeWhoseEventsNeverCameIsFound() async throws {
        let result = try await Self.disputed().run()
        #expect(result.findings.map(\.subject) == ["pi_1"])
        #expect(result.mismatch == 9_990_000)
    }

    /// Made days ago, so that no listing has it; the bank has paid since, and nothing was granted.
    private static func debited(refunded: Int64 = 0) -> Sides {
        let sides = Sides()
        sides.change { state in
            state.records = [Self.record("pi_bank", granted: 0)]
            state.unfinished = ["pi_bank"]
            state.whole["pi_bank"] = Self.listed(
                "pi_bank", reversed: .init(refundedCents: refunded, lostCents: 0))
        }
        return sides
    }

    @Test func aBanksDebitThatWasNeverGrantedIsFound() async throws {
        let result = try await Self.debited().run()
        #expect(result.findings.map(\.subject) == ["pi_bank"])
        #expect(result.mismatch == 9_990_000)
        #expect(try await Self.debited(refunded: 998).run().total == 1)
    }

    /// Nobody has the money, nobody has the credits.
    @Test func aPaymentThatWasGivenBackInsteadOfGrantedIsNoMismatch() async throws {
        #expect(try await Self.debited(refunded: 999).run().outcome == .clean)
    }

    @Test func whatArrivesBetweenTheLooksIsNoMismatch() async throws {
        let sides = Self.disputed()
        let result = try await sides.run { state in
            state.records[0].isDisputed = true
            state.records[0].withdrawnCents = 999
        }
        #expect(result.outcome == .clean)
        #expect(sides.state.withLock(\.read) == ["pi_1", "pi_1"])
    }

    /// What came up at Stripe between them may be on its way to us.
    @Test func aDifferenceThatBeganBetweenTheLooksIsNotFound() async throws {
        let result = try await Self.disputed().run { state in
            state.whole["pi_1"] = Self.listed("pi_1", reversed: .init(refundedCents: 5, lostCents: 0))
        }
        #expect(result.outcome == .clean)
    }

    /// One account at Stripe may sell more than credits: its other payments cost us no call.
    @Test func strangersAreNeitherReadNorFound() async throws {
        let sides = Sides()
        sides.change { state in
            state.listed = [Self.listed("pi_mug", purchase: nil)]
            state.reversed = ["pi_mug", "pi_old_mug"]
        }
        #expect(try await sides.run().outcome == .clean)
        #expect(sides.state.withLock(\.read).isEmpty)
    }

    /// Somebody took our name from the metadata; the ledger knows the payment all the same.
    @Test func aPaymentThatTheLedgerKnowsIsOursWithoutAName() async throws {
        let sides = Sides()
        sides.change { state in
            state.listed = [Self.listed("pi_1", purchase: nil)]
            state.records = [Self.record("pi_1")]
            state.reversed = ["pi_1"]
            state.whole["pi_1"] = Self.listed(
                "pi_1", purchase: nil, reversed: .init(refundedCents: 40, lostCents: 0))
        }
        #expect(try await sides.run().findings.map { $0.amounts?.expected } == [40])
    }

    @Test(arguments: [
        StripeFailure.Kind.unknownStatus(object: .dispute, status: "settled"), .unreadableReply,
        .foreignCurrency(object: .refund), .apiError(status: 500), .locked,
    ])
    func anUnreadablePaymentIsOneFindingBesideTheOthers(_ kind: StripeFailure.Kind) async throws {
        let sides = Self.disputed()
        sides.change { state in
            state.records.append(Self.record("pi_2"))
            state.reversed.insert("pi_2")
            state.failures["pi_2"] = StripeFailure(kind)
        }
        let result = try await sides.run()
        #expect(result.findings.map(\.subject) == ["pi_2", "pi_1"])
        #expect(result.findings.first?.detail.contains(StripeFailure(kind).label) == true)
    }

    @Test(arguments: [
        StripeFailure.Kind.unreachable(.timedOut(sent: true)), .unauthorised(status: 401), .rateLimited,
        .outOfTime,
    ])
    func stripeThatIsAwayIsNoFinding(_ kind: StripeFailure.Kind) async throws {
        let sides = Self.disputed()
        sides.change { $0.failures["pi_1"] = StripeFailure(kind) }
        #expect(try await sides.run().outcome == .unavailable)
    }

    /// Trouble of Stripe's own looks like that of one payment, until a list is asked for as well.
    @Test func stripeThatFailsAltogetherIsNoFinding() async throws {
        let sides = Self.disputed()
        let down = StripeFailure(.apiError(status: 503))
        let result = try await sides.run { state in
            state.failures["pi_1"] = down
            state.listingFailure = down
        }
        #expect(result.outcome == .unavailable)
        #expect(result.total == 0)
    }

    /// What an earlier day found is in no listing of today, and stands until it is compared and found equal.
    @Test(arguments: [false, true]) func whatStoodBeforeIsComparedOnceMore(_ isMended: Bool) async throws {
        let sides = Sides()
        sides.change { state in
            state.standing = ["pi_old", "pi_unknown"]
            state.whole["pi_old"] = Self.listed(
                "pi_old", reversed: .init(refundedCents: isMended ? 0 : 40, lostCents: 0))
            state.records = [Self.record("pi_old")]
            // Nobody granted it, and the ledger does not know it.
            if !isMended {
                state.whole["pi_unknown"] = Self.listed("pi_unknown", purchase: "q", reversed: Self.untouched)
            }
        }
        let found = try await sides.run().findings.map(\.subject)
        #expect(Set(found) == (isMended ? [] : ["pi_old", "pi_unknown"]))
    }

    @Test func equalSidesAreReadOnce() async throws {
        let sides = Sides()
        sides.change { state in
            state.listed = [Self.listed("pi_1")]
            state.records = [Self.record("pi_1")]
        }
        let result = try await sides.run { _ in Issue.record("nothing differs, so nothing is looked at again")
        }
        #expect(result.outcome == .clean)
    }
}

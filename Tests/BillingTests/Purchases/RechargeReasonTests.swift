import Metering
import Testing

@testable import Billing

/// A card is charged for a reason, and not when it has gone or money went back.
@Suite struct RechargeReasonTests {
    private static let now: Int64 = 1_790_000_000_000
    private static let minute: Int64 = 60_000
    private static let day: Int64 = 86_400_000

    private static func settings(
        _ package: String = "starter", price: Int64 = 999, threshold: Int64 = 1000, limit: Int64 = 3000
    ) throws -> RechargeSettings {
        try RechargeSettings(
            threshold: Millicredits(threshold), packageCode: package, priceUSDCents: price,
            dailyLimitCents: limit)
    }

    private static func sight(
        _ available: Int64 = 999, version: Int64 = 1, isSuspended: Bool = false,
        isPaymentUnderWay: Bool = false
    ) -> RechargeSight {
        RechargeSight(
            available: Millicredits(available), version: version, isSuspended: isSuspended,
            isPaymentUnderWay: isPaymentUnderWay)
    }

    private static func purchase(
        _ package: String = "starter", price: Int64 = 999, credits: Int64 = 9990,
        at createdAt: Int64 = Self.now
    ) throws -> Purchase {
        let package = CreditPackage(
            code: package, version: 1, name: "P", priceUSDCents: price, credits: credits, bonusCredits: 0)
        return try Purchase(
            id: PurchaseID(HoldID(millisecondsSinceEpoch: 7, randomA: 1, randomB: 2)), account: 7,
            kind: .recharge, of: package, customer: "cus_1", livemode: false, createdAt: createdAt)
    }

    /// With an attempt that is decided on, and its order.
    private static func decided() throws -> (Recharge, RechargeOrder) {
        var recharge = Recharge(account: 7)
        recharge.turnOn(try Self.settings())
        guard case .start(let attempt) = recharge.saw(Self.sight(), now: Self.now) else {
            throw Missing()
        }
        return (
            recharge, RechargeOrder(account: 7, attempt: attempt, packageCode: "starter", opened: nil)
        )
    }

    private struct Missing: Error {}

    @Test func whatWasDecidedIsOpenedWhileItsReasonLasts() throws {
        let (recharge, order) = try Self.decided()
        #expect(try recharge.mayOpen(Self.purchase(), of: order, seeing: Self.sight()))
        // Raised since then, and still above the balance.
        let raised = recharge.with(try Self.settings(threshold: 2000))
        #expect(try raised.mayOpen(Self.purchase(), of: order, seeing: Self.sight(1999)))
    }

    /// The crash, the outage or the kill switch in between may have lasted for hours.
    @Test(arguments: [
        Self.sight(1000), Self.sight(isSuspended: true), Self.sight(isPaymentUnderWay: true),
        Self.sight(version: -1),
    ])
    func aBalanceThatIsNoReasonAnyMoreOpensNothing(_ sight: RechargeSight) throws {
        let (recharge, order) = try Self.decided()
        #expect(try !recharge.mayOpen(Self.purchase(), of: order, seeing: sight))
    }

    @Test func whatItsOwnerDoesNotWantAnyMoreIsNotOpened() throws {
        var (off, order) = try Self.decided()
        off.turnOff()
        #expect(try !off.mayOpen(Self.purchase(), of: order, seeing: Self.sight()))
        for changed in [
            try Self.settings("professional"), try Self.settings(price: 998), try Self.settings(threshold: 0),
            try Self.settings(limit: 999).atMost(998),
        ] {
            let recharge = try Self.decided().0.with(changed)
            #expect(try !recharge.mayOpen(Self.purchase(), of: order, seeing: Self.sight()))
        }
        // Another attempt is under way, or none.
        order.attempt = RechargeAttempt(number: 1, cents: 999, startedAt: Self.now - 1)
        #expect(try !Self.decided().0.mayOpen(Self.purchase(), of: order, seeing: Self.sight()))
    }

    @Test func aPackageThatWasAmendedIsNotOpened() throws {
        let (recharge, order) = try Self.decided()
        for purchase in [
            try Self.purchase(price: 998), try Self.purchase("professional"),
            // No more than the threshold: it would be charged again at once.
            try Self.purchase(credits: 1000),
        ] {
            let large = recharge.with(try Self.settings(threshold: 1_000_000))
            #expect(!large.mayOpen(purchase, of: order, seeing: Self.sight()))
        }
    }

    @Test func whatIsNotWantedCostsNothingAndRests() throws {
        var (recharge, _) = try Self.decided()
        #expect(recharge.failed(1, .notWanted, now: Self.now) == .wait(until: Self.now + Self.minute))
        #expect(recharge.state == .idle && recharge.spent.cents == 0 && recharge.failures == 0)
        let later = Self.now + Self.minute
        #expect(
            recharge.saw(Self.sight(), now: later)
                == .start(RechargeAttempt(number: 2, cents: 999, startedAt: later)))
    }

    /// It may bring what is missing.
    @Test func aPaymentThatIsUnderWayIsWaitedFor() throws {
        var recharge = Recharge(account: 7)
        recharge.turnOn(try Self.settings())
        #expect(
            recharge.saw(Self.sight(isPaymentUnderWay: true), now: Self.now)
                == .wait(until: Self.now + Self.minute))
        #expect(recharge.attempts == 0)
    }

    // MARK: Money that went back

    /// Else a refund would be what makes the balance low, and the card would be charged for it.
    @Test func moneyThatWentBackStopsItUntilItIsTurnedOnAgain() throws {
        var recharge = Recharge(account: 7)
        let settings = try Self.settings()
        #expect(recharge.reversed(isOpened: true) == .nothing, "it is off")
        recharge.turnOn(settings)
        #expect(recharge.reversed(isOpened: true) == .disable(.reversed))
        #expect(recharge.saw(Self.sight(), now: Self.now) == .nothing)
        #expect(recharge.reversed(isOpened: true) == .nothing && recharge.state == .stopped(.reversed))
        recharge.turnOn(settings)
        #expect(recharge.saw(Self.sight(), now: Self.now) != .nothing)
    }

    /// Stripe cannot have heard of an attempt without a purchase.
    @Test(arguments: [false, true]) func anAttemptThatWasStoppedCountsIfItWasOpened(_ isOpened: Bool) throws {
        var (recharge, _) = try Self.decided()
        #expect(recharge.spent.cents == 999)
        _ = recharge.reversed(isOpened: isOpened)
        #expect(recharge.spent.cents == (isOpened ? 999 : 0))
    }

    /// Else the day's limit could be charged again after each restore.
    @Test func whatComesBackCountsAgainstItsDay() throws {
        var recharge = Recharge(account: 7)
        recharge.turnOn(try Self.settings(limit: 1998))
        recharge.recalled(try Self.purchase(), now: Self.now)
        #expect(recharge.spent.cents == 999)
        recharge.recalled(try Self.purchase(), now: Self.now + Self.day)
        #expect(recharge.spent.cents == 999, "of another day")
        recharge.recalled(try Self.purchase(), now: Self.now)
        #expect(
            recharge.saw(Self.sight(), now: Self.now) == .wait(until: (Self.now / Self.day + 1) * Self.day))
    }

    /// An attempt that fails takes only from the day on which it was counted.
    @Test func anAttemptOfYesterdayTakesNothingFromToday() throws {
        var (recharge, order) = try Self.decided()
        let tomorrow = Self.now + Self.day
        recharge.recalled(
            try Self.purchase(at: tomorrow), now: tomorrow)
        _ = recharge.failed(order.attempt.number, .declined, now: tomorrow)
        #expect(recharge.spent == .init(day: tomorrow / Self.day, cents: 999))
    }

    @Test func anAttemptIsNotAskedForAfterMoneyWentBack() throws {
        var (recharge, order) = try Self.decided()
        recharge.turnOff()
        #expect(recharge.reversed(isOpened: true) == .disable(.reversed))
        #expect(recharge.tick(now: Self.now + Self.minute) == .nothing)
        #expect(try !recharge.mayOpen(Self.purchase(), of: order, seeing: Self.sight()))
        // What Stripe made of it is granted, and is no reason to go on.
        #expect(recharge.succeeded(1, version: 9, now: Self.now) == .nothing)
        #expect(recharge.state == .stopped(.reversed) && recharge.versionLeast == 9)
    }

    @Test(
        arguments: [
            (PaymentPosting.Effect.grant(Millicredits(5), paidCents: 5), false),
            (.cash(.disputeWithdrawn, cents: 5), false),
            (.gate(frozen: .zero, disputes: [:]), false),
            (.gate(frozen: Millicredits(1), disputes: [:]), true),
            (.gate(frozen: .zero, disputes: ["dp_1": .open]), true),
            (
                .reversal(
                    .init(
                        cause: .refund, amount: Millicredits(-1), lot: "l", clawed: Millicredits(1),
                        reversedCents: 1)),
                true
            ),
            (
                .reversal(
                    .init(cause: .dispute, amount: Millicredits(1), lot: "l", clawed: .zero, reversedCents: 0)
                ),
                false
            ),
        ] as [(PaymentPosting.Effect, Bool)])
    func onlyWhatTakesBackStopsIt(_ effect: PaymentPosting.Effect, _ takesBack: Bool) {
        let change = PaymentChange(
            postings: [PaymentPosting(key: "k", effect: effect)], after: .nothing)
        #expect(PaymentDecision.post(change).takesBack(since: .nothing) == takesBack)
        #expect(!PaymentDecision.upToDate.takesBack(since: .nothing))
    }

    /// Of a payment with two disputes, one of them lost: what else is told stops nothing unless it is bad news.
    @Test(
        arguments: [
            // One is won, the other stays lost.
            (["dp_1": .lost, "dp_2": .open], ["dp_1": .lost], false),
            (["dp_1": .lost], ["dp_1": .lost], false), (["dp_1": .lost], [:], false),
            // They get their names.
            (["unnamed:3:lost": .lost], ["dp_1": .lost], false),
            (["unnamed:3:open": .open], ["dp_1": .open], false),
            (["unnamed:3:open": .open, "dp_2": .lost], ["dp_1": .open, "dp_2": .lost], false),
            (["unnamed:3:lost": .lost, "unnamed:5:lost": .lost], ["dp_1": .lost], false),
            // One name for one that was seen; what is beyond it is new.
            (["unnamed:3:lost": .lost], ["dp_1": .lost, "dp_2": .lost], true),
            (["unnamed:3:lost": .lost], ["unnamed:3:lost": .lost, "dp_2": .lost], true),
            (["unnamed:3:open": .open], ["dp_1": .lost], true),
            (["unnamed:3:lost": .lost], ["dp_1": .open], true),
            // Another one's end explains no new one.
            (["dp_1": .open], ["dp_2": .open], true), (["dp_1": .open], ["dp_1": .lost], true),
            (["dp_1": .lost], ["dp_1": .open], true),
            (["dp_1": .lost], ["dp_1": .lost, "dp_2": .open], true),
        ] as [([String: DisputeHold], [String: DisputeHold], Bool)])
    func onlyBadNewsOfDisputesStopsIt(
        _ before: [String: DisputeHold], _ after: [String: DisputeHold], _ takesBack: Bool
    ) {
        var posted = PaymentPosted(revision: 5, state: PaymentTarget())
        (posted.state.frozen, posted.state.disputes) = (Millicredits(7), before)
        for (frozen, isMore) in [(Int64(6), false), (7, false), (8, true)] {
            let change = PaymentChange(
                postings: [
                    PaymentPosting(key: "k", effect: .gate(frozen: Millicredits(frozen), disputes: after))
                ], after: posted)
            #expect(PaymentDecision.post(change).takesBack(since: posted) == (takesBack || isMore))
        }
    }

    /// As a payment is really read: the bank gives one of two disputes back.
    @Test func aDisputeThatIsWonBesideALostOneTakesNothing() throws {
        var snapshot = PaymentSnapshot.paid()
        snapshot.disputes = [
            .init(id: "dp_1", amountCents: 100, status: .lost, feeCents: 0, withdrawnCents: -100),
            .init(id: "dp_2", amountCents: 100, status: .needsResponse, feeCents: 0, withdrawnCents: -100),
        ]
        let purchase = Purchase.starter()
        guard case .post(let first) = PaymentDecision(purchase, snapshot, posted: .nothing) else {
            throw Missing()
        }
        #expect(PaymentDecision.post(first).takesBack(since: .nothing))
        snapshot.disputes[1].status = .won
        snapshot.disputes[1].withdrawnCents = 0
        let won = PaymentDecision(purchase, snapshot, posted: first.after)
        guard case .post(let second) = won else { throw Missing() }
        #expect(second.after.state.disputes == ["dp_1": .lost] && !won.takesBack(since: first.after))
    }
}

import Metering

/// What is to be posted in one transaction, and what `payment_state` is then.
public struct PaymentChange: Sendable, Hashable {
    public var postings: [PaymentPosting]
    public var after: PaymentPosted
}

/// What reading a payment leads to.
public enum PaymentDecision: Sendable, Hashable {
    case post(PaymentChange)
    /// It is at its target already: a repeated event, or one about nothing we keep.
    case upToDate
    /// Credits were granted, and Stripe now says that the payment has not succeeded. A payment that has once
    /// succeeded stays granted; only refunds and disputes take credits back.
    case grantStands
    /// Nothing is posted; the event becomes a dead letter with this reason.
    case doubt(PaymentDoubt)

    /// Target − posted. Applied twice, the second has nothing to post.
    public init(_ purchase: Purchase, _ snapshot: PaymentSnapshot, posted: PaymentPosted) {
        let target: PaymentTarget
        do throws(PaymentDoubt) {
            target = try PaymentTarget(purchase, snapshot, isGranted: posted.isGranted)
        } catch {
            self = .doubt(error)
            return
        }
        if posted.isGranted {
            guard target.isGranted else {
                self = .grantStands
                return
            }
            guard target.paidCents == posted.state.paidCents else {
                self = .doubt(.amountChanged)
                return
            }
        }
        var steps = PaymentSteps(from: posted, payment: snapshot.paymentIntent)
        steps.reach(target)
        self =
            steps.postings.isEmpty
            ? .upToDate : .post(PaymentChange(postings: steps.postings, after: steps.posted))
    }
}

/// Walks from what was posted to the target, one posting at a time.
private struct PaymentSteps {
    private(set) var posted: PaymentPosted
    private(set) var postings: [PaymentPosting] = []
    private let lot: String

    init(from posted: PaymentPosted, payment: String) {
        self.posted = posted
        self.lot = "stripe:payment:\(payment)"
    }

    /// Money before credits, the grant before what is taken of it, and the gate at last.
    mutating func reach(_ target: PaymentTarget) {
        let before = self.posted.state
        // Money that came never un-comes: what goes back is a refund or a dispute.
        self.move(.received, nil, target.paidCents - before.paidCents)
        if let fee = target.cash.feeCents {
            self.move(.fee, .feeReturned, fee - (before.cash.feeCents ?? 0))
        }
        self.move(.refunded, .refundReturned, target.refundedCents - before.refundedCents)
        let (cash, old) = (target.cash, before.cash)
        self.move(.disputeWithdrawn, .disputeReturned, cash.withdrawnCents - old.withdrawnCents)
        self.move(.disputeLost, .disputeLossReturned, target.lostCents - before.lostCents)
        self.move(
            .lostBeyondPaid, .lostBeyondPaidReturned, cash.lostBeyondPaidCents - old.lostBeyondPaidCents)
        self.move(.disputeFee, .disputeFeeReturned, cash.disputeFeeCents - old.disputeFeeCents)
        self.posted.state.cash = cash
        // A fee that Stripe does not tell this time stays as it was.
        self.posted.state.cash.feeCents = cash.feeCents ?? old.feeCents

        if target.isGranted, !before.isGranted { self.grant(target) }
        self.reverse(target)
        self.setGate(target)
    }

    /// A second dispute may change nothing but the ids: it suspends an account whose first one a person has lifted.
    private mutating func setGate(_ target: PaymentTarget) {
        let before = self.posted.state
        guard
            (target.frozen, target.isDisputed, target.disputes)
                != (before.frozen, before.isDisputed, before.disputes)
        else { return }
        self.posted.state.frozen = target.frozen
        self.posted.state.isDisputed = target.isDisputed
        self.posted.state.disputes = target.disputes
        self.add(.gate(frozen: target.frozen, disputes: target.disputes))
    }

    private mutating func grant(_ target: PaymentTarget) {
        self.posted.state.granted = target.granted
        self.posted.state.paidCents = target.paidCents
        self.posted.revision += 1
        self.postings.append(
            PaymentPosting(key: self.lot, effect: .grant(target.granted, paidCents: target.paidCents)))
    }

    /// What is given back comes first: in between, too, no more is clawed back than was granted.
    private mutating func reverse(_ target: PaymentTarget) {
        let refunds = self.posted.state.clawedByRefunds.value - target.clawedByRefunds.value
        let disputes = self.posted.state.clawedByDisputes.value - target.clawedByDisputes.value
        let lines: [(PaymentPosting.Reversal.Cause, Int64)] =
            refunds < disputes
            ? [(.dispute, disputes), (.refund, refunds)] : [(.refund, refunds), (.dispute, disputes)]
        for (cause, amount) in lines {
            switch cause {
            case .refund:
                self.posted.state.clawedByRefunds = target.clawedByRefunds
                self.posted.state.refundedCents = target.refundedCents
            case .dispute:
                self.posted.state.clawedByDisputes = target.clawedByDisputes
                self.posted.state.lostCents = target.lostCents
            }
            guard amount != 0 else { continue }
            let state = self.posted.state
            self.add(
                .reversal(
                    .init(
                        cause: cause, amount: Millicredits(amount), lot: self.lot, clawed: state.clawed,
                        reversedCents: state.reversedCents)))
        }
    }

    private mutating func move(
        _ forth: CashMovement, _ back: CashMovement?, _ cents: Int64
    ) {
        if cents > 0 { self.add(.cash(forth, cents: cents)) }
        if cents < 0, let back { self.add(.cash(back, cents: -cents)) }
    }

    private mutating func add(_ effect: PaymentPosting.Effect) {
        self.posted.revision += 1
        self.postings.append(PaymentPosting(key: "\(self.lot):\(self.posted.revision)", effect: effect))
    }
}

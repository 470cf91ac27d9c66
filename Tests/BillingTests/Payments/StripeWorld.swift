import Metering

@testable import Billing

/// Steele, Lea, Flood: a generator whose whole state is its seed, so that a failure can be replayed.
struct PaymentDice: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func flip(_ sides: Int = 2) -> Bool { Int.random(in: 0..<sides, using: &self) == 0 }
    mutating func cents(_ range: ClosedRange<Int64>) -> Int64 {
        // The ends are where a bound breaks.
        let any = Int64.random(in: range, using: &self)
        return [range.lowerBound, range.upperBound, any, any][Int.random(in: 0..<4, using: &self)]
    }
}

/// One payment at Stripe and the account balance it leaves there, moved by what happens in the world. It knows
/// nothing of targets: it adds up as Stripe's balance transactions do.
struct StripePayment {
    private(set) var snapshot: PaymentSnapshot
    /// Cents that this payment left with Stripe for us.
    private(set) var balance: Int64 = 0
    private var isOver = false

    init(_ purchase: Purchase, intent: String) {
        self.snapshot = .unpaid(.requiresPaymentMethod)
        self.snapshot.paymentIntent = intent
        self.snapshot.amountCents = purchase.priceUSDCents
        self.snapshot.metadata = purchase.namesOfBefore
    }

    private var paid: Int64 { self.snapshot.amountReceivedCents }

    /// Something happens, or nothing.
    mutating func happen(_ dice: inout PaymentDice) {
        switch self.snapshot.status {
        case .succeeded: self.aftermath(&dice)
        case .processing:
            if dice.flip(3) {
                self.isOver = true; self.snapshot.status = .requiresPaymentMethod
            } else {
                self.succeed(&dice)
            }
        case _ where self.isOver: break
        default:
            if dice.flip() { self.snapshot.status = .processing } else { self.succeed(&dice) }
        }
    }

    private mutating func succeed(_ dice: inout PaymentDice) {
        self.snapshot.status = .succeeded
        self.snapshot.amountReceivedCents = self.snapshot.amountCents
        self.snapshot.charge = .init(id: "ch", receiptURL: nil, feeCents: nil)
        self.balance += self.paid
        if dice.flip() { self.settle() }
    }

    private mutating func settle() {
        guard self.snapshot.charge?.feeCents == nil else { return }
        let fee = self.paid / 34 + 30
        self.snapshot.charge?.feeCents = fee
        self.balance -= fee
    }

    private mutating func aftermath(_ dice: inout PaymentDice) {
        switch Int.random(in: 0..<6, using: &dice) {
        case 0: self.settle()
        case 1, 2: self.refund(&dice)
        case 3: self.loseRefund(&dice)
        case 4: self.openDispute(&dice)
        default: self.moveDispute(&dice)
        }
    }

    private mutating func refund(_ dice: inout PaymentDice) {
        let taken = self.snapshot.refunds.reduce(0) {
            $1.status == .failed || $1.status == .canceled ? $0 : $0 + $1.amountCents
        }
        guard taken < self.paid else { return }
        let cents = dice.cents(1...(self.paid - taken))
        self.snapshot = self.snapshot.refunding(cents, dice.flip() ? .pending : .succeeded)
        self.balance -= cents
    }

    /// Or it arrives.
    private mutating func loseRefund(_ dice: inout PaymentDice) {
        guard let at = self.snapshot.refunds.indices.randomElement(using: &dice),
            self.snapshot.refunds[at].status == .pending
        else { return }
        guard dice.flip() else { return self.snapshot.refunds[at].status = .succeeded }
        self.snapshot.refunds[at].status = dice.flip() ? .failed : .canceled
        self.balance += self.snapshot.refunds[at].amountCents
    }

    private mutating func openDispute(_ dice: inout PaymentDice) {
        guard self.snapshot.disputes.count < 3 else { return }
        self.snapshot = self.snapshot.disputing(dice.cents(1...self.paid), .warningNeedsResponse, fee: 0)
        if dice.flip() { self.withdraw(self.snapshot.disputes.count - 1) }
    }

    private mutating func withdraw(_ at: Int) {
        self.snapshot.disputes[at].status = .needsResponse
        self.snapshot.disputes[at].withdrawnCents = -self.snapshot.disputes[at].amountCents
        self.snapshot.disputes[at].feeCents = 1500
        self.balance -= self.snapshot.disputes[at].amountCents + 1500
    }

    private mutating func moveDispute(_ dice: inout PaymentDice) {
        guard let at = self.snapshot.disputes.indices.randomElement(using: &dice) else { return }
        switch self.snapshot.disputes[at].status {
        case .warningNeedsResponse, .warningUnderReview:
            if dice.flip() { self.withdraw(at) } else { self.snapshot.disputes[at].status = .warningClosed }
        case .needsResponse, .underReview:
            if dice.flip() { self.snapshot.disputes[at].status = .lost } else { self.win(at, &dice) }
        case .lost: if dice.flip(4) { self.win(at, &dice) }
        case .won, .prevented, .warningClosed: break
        }
    }

    private mutating func win(_ at: Int, _ dice: inout PaymentDice) {
        self.snapshot.disputes[at].status = .won
        self.snapshot.disputes[at].withdrawnCents = 0
        self.balance += self.snapshot.disputes[at].amountCents
        if dice.flip() {
            self.snapshot.disputes[at].feeCents = 0
            self.balance += 1500
        }
    }
}

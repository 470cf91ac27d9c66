import Metering
import Testing

@testable import Billing

/// What our side keeps of a few payments of one account: rows that a crash leaves whole or not at all.
struct PostedWorld {
    /// `source_ref` is unique; the second of a kind is a double posting.
    private(set) var keys: Set<String> = []
    private(set) var balance: Int64 = 0
    private(set) var lots: [String: (credits: Int64, clawed: Int64, reversedCents: Int64)] = [:]
    /// Debits minus credits, cents.
    private(set) var books: [String: Int64] = [:]
    private(set) var gates: [Int: (frozen: Int64, disputes: [String: DisputeHold])] = [:]

    mutating func post(_ postings: [PaymentPosting], payment: Int) throws {
        for posting in postings {
            try #require(self.keys.insert(posting.key).inserted, "\(posting.key) was posted before")
            switch posting.effect {
            case .grant(let amount, _):
                self.balance += amount.value
                self.lots[posting.key] = (amount.value, 0, 0)
            case .reversal(let reversal): try self.reverse(reversal)
            case .cash(let cash, let cents):
                try #require(cents > 0)
                let (debit, credit) = Self.accounts(cash)
                self.books[debit, default: 0] += cents
                self.books[credit, default: 0] -= cents
            case .gate(let frozen, let disputes): self.gates[payment] = (frozen.value, disputes)
            }
        }
    }

    private mutating func reverse(_ reversal: PaymentPosting.Reversal) throws {
        let lot = try #require(self.lots[reversal.lot], "a reversal before its grant")
        try #require(reversal.amount != .zero)
        try #require(lot.clawed - reversal.amount.value == reversal.clawed.value)
        try #require(reversal.clawed.value <= lot.credits && reversal.clawed >= .zero)
        self.balance += reversal.amount.value
        self.lots[reversal.lot] = (lot.credits, reversal.clawed.value, reversal.reversedCents)
    }

    /// As money_in.md has them, written down a second time.
    private static func accounts(_ cash: CashMovement) -> (debit: String, credit: String) {
        switch cash {
        case .received: ("stripe", "deferred")
        case .fee: ("fees", "stripe")
        case .feeReturned: ("stripe", "fees")
        case .refunded: ("deferred", "stripe")
        case .refundReturned: ("stripe", "deferred")
        case .disputeWithdrawn: ("disputed", "stripe")
        case .disputeReturned: ("stripe", "disputed")
        case .disputeLost: ("deferred", "disputed")
        case .disputeLossReturned: ("disputed", "deferred")
        case .lostBeyondPaid: ("bad debt", "disputed")
        case .lostBeyondPaidReturned: ("disputed", "bad debt")
        case .disputeFee: ("dispute fees", "stripe")
        case .disputeFeeReturned: ("stripe", "dispute fees")
        }
    }
}

/// A webhook endpoint and a poller in a bad world: events come twice, late, in any order or never, and the process
/// dies before a commit or right after it.
struct PaymentHistory {
    private var dice: PaymentDice
    private(set) var purchases: [Purchase] = []
    private(set) var payments: [StripePayment] = []
    private(set) var posted: [PaymentPosted] = []
    private(set) var world = PostedWorld()
    private(set) var books: PaymentBooks
    /// Which payment each undelivered event is about.
    private var events: [Int] = []

    private static let offers: [(price: Int64, credits: Int64)] = [
        (999, 9_990_000), (4999, 52_490_000), (9999, 109_990_000), (3, 100), (7, 1_000_003), (50, 50), (1, 1),
    ]

    init(seed: UInt64) throws {
        self.books = try PaymentBooks()
        self.dice = PaymentDice(state: seed)
        for at in 0..<Int.random(in: 1...2, using: &self.dice) {
            let offer = Self.offers[Int.random(in: 0..<Self.offers.count, using: &self.dice)]
            let purchase = Purchase.starter(price: offer.price, credits: offer.credits)
            self.purchases.append(purchase)
            self.payments.append(StripePayment(purchase, intent: "pi_\(at)"))
            self.posted.append(.nothing)
        }
    }

    mutating func run() throws {
        for _ in 0..<Int.random(in: 1...40, using: &self.dice) {
            if self.dice.flip() { self.happen() } else { try self.deliver() }
        }
        while !self.events.isEmpty { try self.deliver() }
        // Undelivered events are listed every five minutes.
        for at in self.payments.indices { try self.bring(at) }
    }

    private mutating func happen() {
        let at = Int.random(in: 0..<self.payments.count, using: &self.dice)
        self.payments[at].happen(&self.dice)
        let copies = Int.random(in: 0...3, using: &self.dice)
        self.events += [Int](repeating: at, count: copies)
    }

    private mutating func deliver() throws {
        guard let event = self.events.indices.randomElement(using: &self.dice) else { return }
        let at = self.events[event]
        // Died before the commit: what was read and decided is gone, and Stripe sends it again.
        guard !self.dice.flip(5) else { return }
        try self.bring(at)
        // Died before the answer: committed, and sent again.
        if !self.dice.flip(5) { self.events.remove(at: event) }
    }

    private mutating func bring(_ at: Int) throws {
        if self.dice.flip() { try self.books.use(self.dice.cents(1...6_000_000)) }
        let snapshot = self.payments[at].snapshot
        let decision = PaymentDecision(self.purchases[at], snapshot, posted: self.posted[at])
        self.purchases[at].observed(snapshot, decision)
        switch decision {
        case .post(let change):
            try self.world.post(change.postings, payment: at)
            for posting in change.postings { try self.books.post(posting) }
            self.posted[at] = change.after
        case .upToDate: break
        case .grantStands, .doubt: Issue.record("\(decision) in a world that is in order")
        }
        try self.check(at)
    }

    /// After each commit.
    private func check(_ at: Int) throws {
        let state = self.posted[at].state
        try #require(state.granted == (state.isGranted ? self.purchases[at].credits : .zero))
        try #require(state.clawed <= state.granted && state.reversedCents <= state.paidCents)
        try #require(state.frozen.value <= state.granted.value - state.clawed.value)
        let owed = self.posted.reduce(0) { $0 + $1.state.granted.value - $1.state.clawed.value }
        try #require(self.world.balance == owed)
        try #require(self.world.books.values.reduce(0, +) == 0)
        try #require(self.books.lots.balance.value == owed - self.books.used)
        try self.books.check()
    }
}

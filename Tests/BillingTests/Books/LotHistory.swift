import Foundation
import Metering

@testable import Billing

/// A random, possible history of one account's ledger, with amounts so small that a model can count single
/// millicredits.
struct LotHistory {
    private(set) var lines: [LotLine] = []
    /// What Stripe's side of the history posts for the books.
    private(set) var cash: [JournalEntry] = []
    private var balance: Int64 = 0
    private var used: Int64 = 0
    private var lots: [Sold] = []
    private var day = UTCDay(year: 2026, month: 2, day: 27)!

    private struct Sold {
        var sourceRef: String
        var credits: Int64
        var paidCents: Int64
        var clawed: Int64 = 0
        var reversedCents: Int64 = 0
    }

    static func seed() -> UInt64 {
        ProcessInfo.processInfo.environment["BOOKS_SEED"].flatMap { UInt64($0) } ?? .random(in: .min ... .max)
    }

    init(lineCount: Int, using dice: inout BooksDice) {
        while self.lines.count < lineCount {
            if Int.random(in: 0..<5, using: &dice) == 0 {
                self.day = UTCDay(daysSinceEpoch: Int64(self.day.daysSinceEpoch) + 1)!
            }
            switch Int.random(in: 0..<10, using: &dice) {
            case 0, 1: self.grant(using: &dice)
            case 2...5: self.use(using: &dice)
            case 6: self.correct(using: &dice)
            case 7, 8: self.reverse(using: &dice)
            default: self.append(-.random(in: 1...20, using: &dice), .withdrawal)
            }
        }
    }

    private mutating func grant(using dice: inout BooksDice) {
        let credits = Int64.random(in: 1...60, using: &dice)
        let isPaid = Int.random(in: 0..<3, using: &dice) > 0
        let paid = isPaid ? Int64.random(in: 1...credits, using: &dice) : 0
        let sourceRef = "stripe:payment:pi_\(self.lots.count)"
        self.lots.append(Sold(sourceRef: sourceRef, credits: credits, paidCents: paid))
        self.append(
            credits, .grant(sourceRef: sourceRef, kind: isPaid ? .purchase : .promotional, paidCents: paid))
        if isPaid { self.post(.received, paid) }
    }

    private mutating func use(using dice: inout BooksDice) {
        let amount = Int64.random(in: 1...25, using: &dice)
        self.used += amount
        self.append(-amount, .usage)
    }

    private mutating func correct(using dice: inout BooksDice) {
        guard self.used > 0 else { return }
        let amount = Int64.random(in: 1...min(30, self.used), using: &dice)
        self.used -= amount
        self.append(amount, .usage)
    }

    /// Any target: more refunded than before, or less, because a refund failed.
    private mutating func reverse(using dice: inout BooksDice) {
        guard
            let index = self.lots.indices.filter({ self.lots[$0].paidCents > 0 }).randomElement(using: &dice)
        else { return }
        let lot = self.lots[index]
        let reversed = Int64.random(in: 0...lot.paidCents, using: &dice)
        let clawed = (lot.credits * reversed + lot.paidCents - 1) / lot.paidCents
        guard clawed != lot.clawed else { return }
        self.lots[index].clawed = clawed
        self.lots[index].reversedCents = reversed
        self.append(
            lot.clawed - clawed,
            .clawBack(sourceRef: lot.sourceRef, clawed: Millicredits(clawed), reversedCents: reversed))
        let moved = reversed - lot.reversedCents
        self.post(moved > 0 ? .refunded : .refundReturned, abs(moved))
    }

    private mutating func append(_ amount: Int64, _ effect: LotLine.Effect) {
        self.balance += amount
        self.lines.append(
            LotLine(
                version: Int64(self.lines.count + 1), day: self.day, amount: Millicredits(amount),
                balanceAfter: Millicredits(self.balance), effect: effect))
    }

    private mutating func post(_ movement: CashMovement, _ cents: Int64) {
        guard cents > 0 else { return }
        let key = "cash:\(self.cash.count)"
        self.cash.append(try! JournalEntry(movement, cents: cents, key: key, day: self.day))
    }
}

/// Recognition told the slow way: every millicredit is a thing of its own that lies in a lot, is used, is
/// withdrawn or is clawed back, and revenue is computed from the end's counts alone.
struct CountedLots {
    enum Millicredit { case free, used, withdrawn, clawed }

    private(set) var lots: [(sourceRef: String, paidCents: Int64, reversedCents: Int64, all: [Millicredit])] =
        []
    private(set) var owedUsed = 0
    private(set) var owedWithdrawn = 0

    init(_ lines: some Sequence<LotLine>) {
        for line in lines { self.take(line) }
    }

    private mutating func take(_ line: LotLine) {
        let amount = Int(line.amount.value)
        switch line.effect {
        case .grant(let sourceRef, _, let paidCents):
            self.lots.append((sourceRef, paidCents, 0, Array(repeating: .free, count: amount)))
        case .usage where amount < 0: self.owedUsed -= amount
        case .usage: for _ in 0..<amount { self.giveBackOne() }
        case .withdrawal: self.owedWithdrawn -= amount
        case .clawBack(let sourceRef, let clawed, let reversedCents):
            let index = self.lots.firstIndex { $0.sourceRef == sourceRef }!
            self.lots[index].reversedCents = reversedCents
            self.claw(index, to: Int(clawed.value))
        }
        while self.owedUsed + self.owedWithdrawn > 0, self.consumeOne(self.owedUsed > 0 ? .used : .withdrawn)
        {
            if self.owedUsed > 0 { self.owedUsed -= 1 } else { self.owedWithdrawn -= 1 }
        }
    }

    private mutating func giveBackOne() {
        if self.owedUsed > 0 {
            self.owedUsed -= 1
            return
        }
        let lot = self.lots.lastIndex { $0.all.contains(.used) }!
        self.lots[lot].all[self.lots[lot].all.firstIndex(of: .used)!] = .free
    }

    private mutating func consumeOne(_ what: Millicredit) -> Bool {
        guard let lot = self.lots.firstIndex(where: { $0.all.contains(.free) }) else { return false }
        self.lots[lot].all[self.lots[lot].all.firstIndex(of: .free)!] = what
        return true
    }

    private mutating func claw(_ lot: Int, to clawed: Int) {
        while self.count(lot, .clawed) > clawed {
            self.lots[lot].all[self.lots[lot].all.firstIndex(of: .clawed)!] = .free
        }
        while self.count(lot, .clawed) < clawed {
            let order: [Millicredit] = [.free, .used, .withdrawn]
            let taken = order.first { self.lots[lot].all.contains($0) }!
            self.lots[lot].all[self.lots[lot].all.firstIndex(of: taken)!] = .clawed
            if taken == .used { self.owedUsed += 1 }
            if taken == .withdrawn { self.owedWithdrawn += 1 }
        }
    }

    func count(_ lot: Int, _ kind: Millicredit) -> Int { self.lots[lot].all.count { $0 == kind } }

    /// In cents; all of it when nothing is left.
    func recognisedCents(_ lot: Int) -> Int64 {
        let consumed = self.count(lot, .used) + self.count(lot, .withdrawn)
        let kept = self.lots[lot].paidCents - self.lots[lot].reversedCents
        let whole = self.lots[lot].all.count - self.count(lot, .clawed)
        return consumed == whole ? kept : kept * Int64(consumed) / Int64(whole)
    }
}

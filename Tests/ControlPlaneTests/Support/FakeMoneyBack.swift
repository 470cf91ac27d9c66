import Billing
import Metering
import Synchronization

/// Refunds nothing, and remembers what it was asked for; lists what it was given.
final class FakeMoneyBack: Refunding, PaymentRecords {
    struct Asked: Hashable {
        var request: String
        var purchase: PurchaseID
        var cash: RefundPlan.Amount?
        var credit: CreditRefund.Amount?
        var reason: String
        var actor: String
    }

    struct Down: Error {}

    let asked = Mutex<[Asked]>([])
    let notes = Mutex<[ChangeNote]>([])
    let purchaseQueries = Mutex<[PurchaseQuery]>([])
    let eventQueries = Mutex<[StoredEventQuery]>([])
    private let failure: RefundFailure?
    private let lines: [PurchaseLine]
    private let stored: [StoredEvent]
    private let isDown: Bool

    init(
        failing failure: RefundFailure? = nil, lines: [PurchaseLine] = [], stored: [StoredEvent] = [],
        isDown: Bool = false
    ) {
        self.failure = failure
        self.lines = lines
        self.stored = stored
        self.isDown = isDown
    }

    func refundCash(
        _ request: String, of purchase: PurchaseID, amount: RefundPlan.Amount, note: ChangeNote
    ) async throws(RefundFailure) -> MadeRefund {
        self.notes.withLock { $0.append(note) }
        self.asked.withLock {
            $0.append(
                Asked(
                    request: request, purchase: purchase, cash: amount, reason: note.reason, actor: note.actor
                ))
        }
        if let failure { throw failure }
        return MadeRefund(request: request, refund: "re_1", cents: 333)
    }

    func refundCredits(
        _ request: String, of purchase: PurchaseID, amount: CreditRefund.Amount, note: ChangeNote
    ) async throws(RefundFailure) -> Millicredits {
        self.notes.withLock { $0.append(note) }
        self.asked.withLock {
            $0.append(
                Asked(
                    request: request, purchase: purchase, credit: amount, reason: note.reason,
                    actor: note.actor))
        }
        if let failure { throw failure }
        return Millicredits(5000)
    }

    func purchases(_ query: PurchaseQuery) async throws -> [PurchaseLine] {
        self.purchaseQueries.withLock { $0.append(query) }
        if self.isDown { throw Down() }
        return Array(self.lines.prefix(Int(query.limit)))
    }

    func events(_ query: StoredEventQuery) async throws -> [StoredEvent] {
        self.eventQueries.withLock { $0.append(query) }
        if self.isDown { throw Down() }
        return Array(self.stored.prefix(Int(query.limit)))
    }

    func event(_ id: String) async throws -> StoredEvent? { self.stored.first { $0.record.id == id } }
}

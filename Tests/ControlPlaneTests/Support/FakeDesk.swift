import Billing
import Metering
import Synchronization

/// Sells nothing, and remembers what it was asked for.
final class FakeDesk: CheckoutDesk, WebhookDesk {
    struct Order: Hashable {
        var packageCode: String
        var account: AccountID
        var successURL: String
        var cancelURL: String
    }

    let orders = Mutex<[Order]>([])
    let deliveries = Mutex<[(body: [UInt8], signature: String?)]>([])
    let refusal: CheckoutRefusal?
    let answer: WebhookAnswer
    static let purchase = PurchaseID(HoldID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0001))

    init(refusing refusal: CheckoutRefusal? = nil, answering answer: WebhookAnswer = .accepted) {
        self.refusal = refusal
        self.answer = answer
    }

    func checkOut(
        _ packageCode: String, for account: AccountID, successURL: String, cancelURL: String
    ) async throws(CheckoutRefusal) -> StartedCheckout {
        self.orders.withLock {
            $0.append(
                Order(
                    packageCode: packageCode, account: account, successURL: successURL, cancelURL: cancelURL))
        }
        if let refusal { throw refusal }
        return StartedCheckout(session: "cs_1", url: "https://pay/cs_1", purchase: Self.purchase)
    }

    func receive(_ body: [UInt8], signature: String?) async -> WebhookAnswer {
        self.deliveries.withLock { $0.append((body, signature)) }
        return self.answer
    }
}

import Billing
import Foundation
import HTTPTypes
import Hummingbird
import Metering

/// `POST /api/admin/refunds`.
extension AdminRoutes {
    private static let bodyBytesMax = 16 << 10

    func refund(
        _ request: Request, _ context: ControlContext, _ staff: Staff
    ) async throws -> Response {
        let body = try await request.body.collect(upTo: Self.bodyBytesMax)
        let order = try RefundOrder(parsing: Data(body.readableBytesView))
        do throws(RefundFailure) {
            return try await self.make(order, staff.note(order.reason, context)).response()
        } catch .unknown {
            return JSONValue.object([
                ("status", .string("pending")), ("purchaseId", .string(order.purchase.description)),
                ("idempotencyKey", .string(order.key)),
                ("message", .string(RefundFailure.unknown.sentence)),
            ]).response(.accepted)
        } catch {
            throw Self.error(error, order)
        }
    }

    private func make(_ order: RefundOrder, _ note: ChangeNote) async throws(RefundFailure) -> JSONValue {
        var members: [(String, JSONValue)] = [
            ("status", .string("done")), ("purchaseId", .string(order.purchase.description)),
            ("idempotencyKey", .string(order.key)),
        ]
        switch order.amount {
        case .cash(let amount):
            let made = try await self.refunds.refundCash(
                order.key, of: order.purchase, amount: amount, note: note)
            members += [
                ("kind", .string("cash")), ("refundId", .string(made.refund)),
                ("amountCents", .integer(made.cents)),
            ]
        case .credit(let amount):
            let credits = try await self.refunds.refundCredits(
                order.key, of: order.purchase, amount: amount, note: note)
            members += [("kind", .string("credit")), ("amountMillicredits", credits.json)]
        }
        return .object(members)
    }

    static func error(_ failure: RefundFailure, _ order: RefundOrder) -> APIError {
        APIError(
            status: self.status(failure), message: failure.sentence, code: failure.code,
            param: failure.field.map { self.name($0, order) },
            headers: failure == .ledgerUnavailable ? [.retryAfter: "1"] : [:])
    }

    private static func status(_ failure: RefundFailure) -> HTTPResponse.Status {
        switch failure {
        case .notConfigured, .ledgerUnavailable: .serviceUnavailable
        case .unknownPurchase: .notFound
        case .idempotencyConflict, .failedLater: .conflict
        case .refusedByStripe: .badGateway
        case .unknown: .accepted
        case .cash(let refusal):
            switch refusal {
            case .invalidRequestID, .noReason, .amountNotPositive: .badRequest
            case .notPaid, .disputed, .nothingLeft: .conflict
            case .moreThanLeft: .unprocessableContent
            }
        case .credit(let refusal):
            switch refusal {
            case .invalidRequestID, .noReason, .amountNotPositive: .badRequest
            case .notPaid, .disputed, .nothingLeft: .conflict
            case .moreThanLeft: .unprocessableContent
            }
        }
    }

    private static func name(_ field: RefundFailure.Field, _ order: RefundOrder) -> String {
        switch field {
        case .purchase: "purchaseId"
        case .reason: "reason"
        case .idempotencyKey: "idempotencyKey"
        case .amount: if case .cash = order.amount { "amountCents" } else { "amountMillicredits" }
        }
    }
}

import Billing
import Foundation
import Metering

/// The body of `POST /api/admin/refunds`. A missing amount means all that is left, so a misspelt member must never look
/// like a missing one: members that are not known are refused.
struct RefundOrder: Sendable, Hashable {
    enum Amount: Sendable, Hashable {
        case cash(RefundPlan.Amount)
        case credit(CreditRefund.Amount)
    }

    var purchase: PurchaseID
    var amount: Amount
    var reason: String
    var key: String

    private enum Kind: String { case cash, credit }

    private static let members: Set<String> = [
        "purchaseId", "kind", "amountCents", "amountMillicredits", "reason", "idempotencyKey",
    ]

    init(purchase: PurchaseID, amount: Amount, reason: String, key: String) {
        self.purchase = purchase
        self.amount = amount
        self.reason = reason
        self.key = key
    }

    /// - Throws: `APIError` that names the member.
    init(parsing body: Data) throws {
        guard let given = try? JSONDecoder().decode([String: Member].self, from: body) else {
            throw APIError.badRequest("body", "The body must be a JSON object.")
        }
        guard Self.memberCount(body) == given.count else {
            throw APIError.badRequest("body", "A member of the body is given more than once.")
        }
        if let unknown = given.keys.filter({ !Self.members.contains($0) }).min() {
            let name = String(unknown.prefix(64))
            throw APIError.badRequest(name, "'\(name)' is not a member of a refund.")
        }
        let purchase = try Self.text(given, "purchaseId")
        guard let id = PurchaseID(text: purchase) else {
            throw APIError.badRequest("purchaseId", "'purchaseId' must be the id of a purchase.")
        }
        guard let kind = Kind(rawValue: try Self.text(given, "kind")) else {
            throw APIError.badRequest("kind", "'kind' must be 'cash' or 'credit'.")
        }
        self.purchase = id
        self.amount = try kind == .cash ? Self.cash(given) : Self.credit(given)
        self.reason = try Self.text(given, "reason")
        self.key = try Self.text(given, "idempotencyKey")
    }

    /// Of a flat object, repeated members included: which of two amounts counts must not be left to a decoder.
    static func memberCount(_ body: Data) -> Int {
        var (count, isText, isEscaped) = (0, false, false)
        for byte in body {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\"") {
                isText.toggle()
            } else if isText {
                isEscaped = byte == UInt8(ascii: "\\")
            } else if byte == UInt8(ascii: ":") {
                count += 1
            }
        }
        return count
    }

    private static func cash(_ given: [String: Member]) throws -> Amount {
        guard given["amountMillicredits"] == nil else {
            throw APIError.badRequest(
                "amountMillicredits", "A cash refund has 'amountCents'; its credits follow from them.")
        }
        switch given["amountCents"] {
        case nil: return .cash(.rest)
        case .integer(let cents): return .cash(.cents(cents))
        case .text, .other:
            throw APIError.badRequest("amountCents", "'amountCents' must be a whole number of US cents.")
        }
    }

    private static func credit(_ given: [String: Member]) throws -> Amount {
        guard given["amountCents"] == nil else {
            throw APIError.badRequest(
                "amountCents", "A credit refund moves no money: it has 'amountMillicredits'.")
        }
        guard let member = given["amountMillicredits"] else { return .credit(.rest) }
        guard case .text(let text) = member, let value = Int64(text) else {
            throw APIError.badRequest(
                "amountMillicredits", "'amountMillicredits' must be a string with a whole number.")
        }
        return .credit(.millicredits(Millicredits(value)))
    }

    private static func text(_ given: [String: Member], _ name: String) throws -> String {
        guard let member = given[name] else { throw APIError.badRequest(name, "'\(name)' is missing.") }
        guard case .text(let value) = member else {
            throw APIError.badRequest(name, "'\(name)' must be a string.")
        }
        // Postgres cannot store it, and would be called unavailable for it.
        guard !value.unicodeScalars.contains("\0") else {
            throw APIError.badRequest(name, "'\(name)' must not contain U+0000.")
        }
        return value
    }
}

/// One value of a flat object.
private enum Member: Decodable {
    case text(String)
    case integer(Int64)
    case other

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        // `null` is something that was said, not something that was left out.
        if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let number = try? value.decode(Int64.self) {
            self = .integer(number)
        } else {
            self = .other
        }
    }
}

import Billing
import HTTPTypes
import Hummingbird
import Metering

/// What the operator's routes share.
enum AdminReplies {
    static let badCursor = APIError.badRequest("cursor", "'cursor' must be the 'nextCursor' of a page.")

    static func page(_ entries: [JSONValue], next: String?) -> Response {
        JSONValue.object([("entries", .array(entries)), ("nextCursor", .text(next))]).response()
    }

    /// A cursor that is a positive number; nil: none is given.
    static func number(_ parameters: Parameters, _ name: String = "cursor") throws -> Int64? {
        guard let text = parameters[Substring(name)] else { return nil }
        guard let number = Int64(text), number > 0, String(number) == text else {
            throw name == "cursor"
                ? Self.badCursor : APIError.badRequest(name, "'\(name)' must be a whole number above 0.")
        }
        return number
    }

    /// A filter; nil: none is given.
    static func text(
        _ parameters: Parameters, _ name: String, bytesMax: Int = 320
    ) throws -> String? {
        guard let text = parameters[Substring(name)].map(String.init) else { return nil }
        guard 1...bytesMax ~= text.utf8.count, !text.unicodeScalars.contains("\0") else {
            throw APIError.badRequest(name, "'\(name)' must have 1 to \(bytesMax) bytes, none of them NUL.")
        }
        return text
    }

    /// A number in the path.
    static func id(_ context: ControlContext, _ name: String, _ missing: APIError) throws -> Int64 {
        guard let text = context.parameters.get(name), let id = Int64(text), id > 0, String(id) == text else {
            throw missing
        }
        return id
    }

    /// Asks the ledger: what it refuses is told, and whatever else it fails with is not.
    static func asking<Value>(
        _ context: ControlContext, _ body: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await body()
        } catch let error as APIError {
            throw error
        } catch let refusal as AdministrationRefusal {
            throw Self.error(refusal)
        } catch {
            context.logger.warning(
                "the ledger did not answer", metadata: ["error": "\(type(of: error))"])
            throw APIError.unavailable
        }
    }

    private static func error(_ refusal: AdministrationRefusal) -> APIError {
        switch refusal {
        case .noSuchAccount: .noSuchAccount
        case .noSuchKey: .noSuchKey
        case .invalidUserID:
            .badRequest("userId", "'userId' must be 1 to 256 bytes of UTF-8 without control characters.")
        case .accountClosed:
            APIError(status: .conflict, message: "This account is closed for good.", code: "account_closed")
        case .idempotencyConflict:
            APIError(
                status: .conflict, message: "This 'idempotencyKey' was used for another change.",
                code: "idempotency_conflict", param: "idempotencyKey")
        case .balanceOutOfRange:
            APIError(
                status: .unprocessableContent, message: "The balance would leave its range.",
                code: "balance_out_of_range", param: "amountMillicredits")
        }
    }
}

extension Int128 {
    /// Exactly; JSON numbers are read as binary floats.
    var json: JSONValue { .string(String(self)) }
}

extension Optional where Wrapped == Int64 {
    var json: JSONValue { self.map { .integer($0) } ?? .null }
}

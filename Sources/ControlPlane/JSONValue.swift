import HTTPTypes
import Hummingbird
import Metering

/// JSON to be written, with numbers that are exact decimals and members in a fixed order. `Codable` knows
/// only binary floats, which cannot say 3.72 credits.
enum JSONValue: Sendable {
    case string(String)
    case integer(Int64)
    case decimal(ExactDecimal)
    case bool(Bool)
    case null
    case array([JSONValue])
    case object([(String, JSONValue)])

    var text: String {
        switch self {
        case .string(let value): return JSONLiteral.string(value)
        case .integer(let value): return String(value)
        case .decimal(let value): return value.description
        case .bool(let value): return value ? "true" : "false"
        case .null: return "null"
        case .array(let items): return "[" + items.map(\.text).joined(separator: ",") + "]"
        case .object(let members):
            return "{" + members.map { JSONLiteral.string($0.0) + ":" + $0.1.text }.joined(separator: ",")
                + "}"
        }
    }

    func response(_ status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: self.text)))
    }
}

extension Millicredits {
    /// Millicredits are JSON strings (CONTRACT §5).
    var json: JSONValue { .string(String(self.value)) }
    /// As a number of credits, exactly.
    var creditsJSON: JSONValue { .decimal(ExactDecimal(coefficient: Int128(self.value), scale: 3)) }
    /// 1 millicredit = 1 micro-USD.
    var usdJSON: JSONValue { .decimal(ExactDecimal(coefficient: Int128(self.value), scale: 6)) }
}

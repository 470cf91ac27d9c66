import Billing
import Foundation
import Hummingbird
import Metering
import NIOCore

/// The body of a change: a JSON object of known members. Others are refused, so that a misspelt member never looks like
/// a missing one.
struct JSONBody {
    private enum Member: Decodable {
        case text(String)
        case integer(Int64)
        case bool(Bool)
        case null
        case other

        /// No member is an object or a list, so whoever reads this one refuses it.
        var isNested: Bool { if case .other = self { true } else { false } }

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if value.decodeNil() {
                self = .null
            } else if let text = try? value.decode(String.self) {
                self = .text(text)
            } else if let flag = try? value.decode(Bool.self) {
                self = .bool(flag)
            } else if let number = try? value.decode(Int64.self) {
                self = .integer(number)
            } else {
                self = .other
            }
        }
    }

    private let members: [String: Member]

    /// - Throws: `APIError` that names the member.
    init(_ request: Request, _ known: Set<String>, bytesMax: Int = 64 << 10) async throws {
        let body: ByteBuffer
        do { body = try await request.body.collect(upTo: bytesMax) } catch is NIOTooManyBytesError {
            throw APIError.bodyTooLarge(limit: bytesMax)
        }
        guard
            let members = try? JSONDecoder().decode(
                [String: Member].self, from: Data(body.readableBytesView))
        else { throw APIError.badRequest("body", "The body must be a JSON object.") }
        guard
            RefundOrder.memberCount(Data(body.readableBytesView)) == members.count
                || members.values.contains(where: \.isNested)
        else { throw APIError.badRequest("body", "A member of the body is given more than once.") }
        if let unknown = members.keys.filter({ !known.contains($0) }).min() {
            let name = String(unknown.prefix(64))
            throw APIError.badRequest(
                name, "'\(name)' is not known here; known are: \(known.sorted().joined(separator: ", ")).")
        }
        self.members = members
    }

    /// It was given, be it as null.
    func has(_ name: String) -> Bool { self.members[name] != nil }

    /// nil: absent or null.
    func optionalText(_ name: String, _ bytes: ClosedRange<Int> = 1...1024) throws -> String? {
        switch self.members[name] {
        case nil, .null: return nil
        case .text(let text):
            guard bytes.contains(text.utf8.count) else {
                throw APIError.badRequest(
                    name, "'\(name)' must have \(bytes.lowerBound) to \(bytes.upperBound) bytes.")
            }
            // Postgres cannot store it, and would be called unavailable for it.
            guard !text.unicodeScalars.contains("\0") else {
                throw APIError.badRequest(name, "'\(name)' must not contain U+0000.")
            }
            return text
        default: throw APIError.badRequest(name, "'\(name)' must be a string.")
        }
    }

    func optionalFlag(_ name: String) throws -> Bool? {
        switch self.members[name] {
        case nil, .null: return nil
        case .bool(let flag): return flag
        default: throw APIError.badRequest(name, "'\(name)' must be true or false.")
        }
    }

    func text(_ name: String, _ bytes: ClosedRange<Int> = 1...1024) throws -> String {
        guard let text = try self.optionalText(name, bytes) else {
            throw APIError.badRequest(name, "'\(name)' is missing.")
        }
        return text
    }

    func optionalInteger(_ name: String, _ range: ClosedRange<Int64>) throws -> Int64? {
        switch self.members[name] {
        case nil, .null: return nil
        case .integer(let value) where range.contains(value): return value
        default:
            throw APIError.badRequest(
                name, "'\(name)' must be a whole number from \(range.lowerBound) to \(range.upperBound).")
        }
    }

    func integer(_ name: String, _ range: ClosedRange<Int64>) throws -> Int64 {
        guard let value = try self.optionalInteger(name, range) else {
            throw APIError.badRequest(name, "'\(name)' is missing.")
        }
        return value
    }

    /// A signed amount, as a string (CONTRACT §5).
    func millicredits(_ name: String) throws -> Millicredits {
        let text = try self.text(name, 1...20)
        guard let value = Int64(text), String(value) == text, let amount = Millicredits(exactly: value) else {
            throw APIError.badRequest(
                name, "'\(name)' must be a string with a whole number of millicredits.")
        }
        return amount
    }

    func word<Value: RawRepresentable & CaseIterable>(
        _ name: String, _ type: Value.Type
    ) throws -> Value where Value.RawValue == String {
        let text = try self.text(name)
        if let value = Value(rawValue: text) { return value }
        let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
        throw APIError.badRequest(name, "'\(name)' must be one of: \(known).")
    }

    /// Why it is done; of every change.
    func reason() throws -> String {
        let text = try self.text("reason", 1...1000)
        guard Reason.isValid(text) else {
            throw APIError.badRequest(
                "reason", "'reason' must not be blank, nor have control characters.")
        }
        return text
    }
}

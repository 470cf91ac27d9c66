import CLibpq
import Metering

/// The rows of one answer. Owns the `PGresult`; lives on the thread of its connection.
public final class PostgresResult {
    private let result: OpaquePointer
    public let count: Int
    private let columns: Int

    /// Takes ownership of `result`.
    init(owning result: OpaquePointer) {
        self.result = result
        self.count = Int(PQntuples(result))
        self.columns = Int(PQnfields(result))
    }

    deinit { PQclear(self.result) }

    /// Rows that an INSERT, UPDATE or DELETE touched.
    public var affected: Int { Int(String(cString: PQcmdTuples(self.result))) ?? 0 }

    public var rows: [PostgresRow] { (0..<self.count).map { PostgresRow(result: self, index: $0) } }

    /// The only row of a statement that always returns exactly one.
    public func one() throws(PostgresError) -> PostgresRow {
        guard self.count == 1 else { throw .unexpectedResult("\(self.count) rows where one was promised") }
        return PostgresRow(result: self, index: 0)
    }

    public var first: PostgresRow? { self.count > 0 ? PostgresRow(result: self, index: 0) : nil }

    fileprivate func bytes(_ row: Int, _ column: Int) throws(PostgresError) -> UnsafeBufferPointer<UInt8>? {
        guard column < self.columns else { throw .unexpectedResult("no column \(column)") }
        guard PQgetisnull(self.result, Int32(row), Int32(column)) == 0 else { return nil }
        let length = Int(PQgetlength(self.result, Int32(row), Int32(column)))
        guard let value = PQgetvalue(self.result, Int32(row), Int32(column)) else { return nil }
        return UnsafeBufferPointer(
            start: UnsafeRawPointer(value).assumingMemoryBound(to: UInt8.self), count: length)
    }
}

/// One row; the accessors decode PostgreSQL's text format and throw when the column is not what was promised.
public struct PostgresRow {
    let result: PostgresResult
    let index: Int

    public func optionalText(_ column: Int) throws(PostgresError) -> String? {
        guard let bytes = try self.result.bytes(self.index, column) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    public func text(_ column: Int) throws(PostgresError) -> String {
        guard let value = try self.optionalText(column) else {
            throw .unexpectedResult("NULL in column \(column)")
        }
        return value
    }

    public func optionalInt(_ column: Int) throws(PostgresError) -> Int64? {
        guard let text = try self.optionalText(column) else { return nil }
        guard let value = Int64(text) else { throw .unexpectedResult("no integer in column \(column)") }
        return value
    }

    public func int(_ column: Int) throws(PostgresError) -> Int64 {
        guard let value = try self.optionalInt(column) else {
            throw .unexpectedResult("NULL in column \(column)")
        }
        return value
    }

    public func bool(_ column: Int) throws(PostgresError) -> Bool {
        switch try self.text(column) {
        case "t": return true
        case "f": return false
        default: throw .unexpectedResult("no boolean in column \(column)")
        }
    }

    public func uuid(_ column: Int) throws(PostgresError) -> HoldID {
        guard let value = HoldID(text: try self.text(column)) else {
            throw .unexpectedResult("no uuid in column \(column)")
        }
        return value
    }

    public func millicredits(_ column: Int) throws(PostgresError) -> Millicredits {
        guard let value = Millicredits(exactly: try self.int(column)) else {
            throw .unexpectedResult("column \(column) is out of the ledger's range")
        }
        return value
    }

    /// `bytea` in its hexadecimal form (`bytea_output = hex`, the default).
    public func bytes(_ column: Int) throws(PostgresError) -> [UInt8] {
        let text = Array(try self.text(column).utf8)
        guard text.count >= 2, text.count % 2 == 0, text[0] == UInt8(ascii: "\\"),
            text[1] == UInt8(ascii: "x")
        else { throw .unexpectedResult("no bytea in column \(column)") }
        var bytes: [UInt8] = []
        for at in stride(from: 2, to: text.count, by: 2) {
            guard let high = Self.nibble(text[at]), let low = Self.nibble(text[at + 1]) else {
                throw .unexpectedResult("no bytea in column \(column)")
            }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func nibble(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 97...102: byte - 87
        default: nil
        }
    }
}

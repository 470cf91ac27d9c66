import Metering

/// The parameters of one statement, in PostgreSQL's text format, in one buffer.
public struct PostgresParameters: Sendable, ExpressibleByArrayLiteral {
    /// Values one after the other, each ended by NUL.
    var bytes: [UInt8] = []
    /// Where each value begins; nil is SQL's NULL.
    var offsets: [Int?] = []

    public init() {}

    public init(arrayLiteral elements: PostgresValue...) {
        for element in elements { self.append(element) }
    }

    public mutating func append(_ value: PostgresValue) {
        guard let body = value.body else {
            self.offsets.append(nil)
            return
        }
        self.offsets.append(self.bytes.count)
        self.bytes.append(contentsOf: body)
        self.bytes.append(0)
    }

    /// NUL ends a value, so one inside a value would cut it short without a word.
    var containsNul: Bool { self.bytes.count { $0 == 0 } != self.offsets.count { $0 != nil } }
}

/// One parameter. The statement names the type where the server cannot infer it (`$1::uuid`).
public struct PostgresValue: Sendable {
    let body: [UInt8]?

    private init(_ body: [UInt8]?) { self.body = body }

    public static let null = PostgresValue(nil)

    public static func text(_ value: String) -> PostgresValue { PostgresValue(Array(value.utf8)) }

    public static func text(_ value: String?) -> PostgresValue { PostgresValue(value.map { Array($0.utf8) }) }

    public static func int(_ value: Int64) -> PostgresValue {
        var bytes: [UInt8] = []
        bytes.appendDecimal(value)
        return PostgresValue(bytes)
    }

    public static func int(_ value: Int64?) -> PostgresValue { value.map(PostgresValue.int) ?? .null }

    public static func bool(_ value: Bool) -> PostgresValue { PostgresValue([value ? 116 : 102]) }

    public static func uuid(_ value: HoldID) -> PostgresValue {
        value.withTextBytes { PostgresValue(Array($0)) }
    }

    /// `bytea` in its hexadecimal form.
    public static func bytes(_ value: [UInt8]) -> PostgresValue {
        PostgresValue([UInt8(ascii: "\\"), UInt8(ascii: "x")] + Hexadecimal.digits(value))
    }

    public static func array(_ value: PostgresArray) -> PostgresValue { PostgresValue(value.literal) }
}

/// An array literal such as `{1,2,NULL,"a\"b"}`, written element by element.
public struct PostgresArray: Sendable {
    private var bytes: [UInt8] = [UInt8(ascii: "{")]

    public init() {}

    public init(_ values: some Sequence<Int64>) {
        for value in values { self.append(value) }
    }

    public init(_ values: some Sequence<String>) {
        for value in values { self.append(value) }
    }

    public init(_ values: some Sequence<HoldID>) {
        for value in values { self.append(value) }
    }

    var literal: [UInt8] { self.bytes + [UInt8(ascii: "}")] }

    public mutating func append(_ value: Int64) {
        self.separate()
        self.bytes.appendDecimal(value)
    }

    public mutating func append(_ value: HoldID) {
        self.separate()
        value.withTextBytes { self.bytes.append(contentsOf: $0) }
    }

    public mutating func append(_ value: Bool) {
        self.separate()
        self.bytes.append(value ? UInt8(ascii: "t") : UInt8(ascii: "f"))
    }

    /// Text of foreign origin (a model name that upstream sent). NUL cannot be stored and becomes U+FFFD: a
    /// charge does not fail on a name.
    public mutating func append(_ value: String?) {
        self.separate()
        guard let value else {
            self.bytes.append(contentsOf: "NULL".utf8)
            return
        }
        self.bytes.append(UInt8(ascii: "\""))
        var text = value
        text.withUTF8 { self.append(quoted: $0) }
        self.bytes.append(UInt8(ascii: "\""))
    }

    /// Names seldom need an escape: what needs none is taken at once.
    private mutating func append(quoted text: UnsafeBufferPointer<UInt8>) {
        var plain = 0
        for (index, byte) in text.enumerated() {
            let quote = UInt8(ascii: "\""), slash = UInt8(ascii: "\\")
            guard byte == quote || byte == slash || byte == 0 else { continue }
            self.bytes.append(contentsOf: text[plain..<index])
            self.bytes.append(contentsOf: byte == 0 ? Array("\u{FFFD}".utf8) : [slash, byte])
            plain = index + 1
        }
        self.bytes.append(contentsOf: text[plain...])
    }

    private mutating func separate() {
        if self.bytes.count > 1 { self.bytes.append(UInt8(ascii: ",")) }
    }
}

extension [UInt8] {
    fileprivate mutating func appendDecimal(_ value: Int64) {
        withUnsafeTemporaryAllocation(byteCount: DecimalDigits.bytesMax, alignment: 1) { digits in
            let count = DecimalDigits.write(value, to: digits, at: 0)
            self.append(contentsOf: digits[..<count])
        }
    }
}

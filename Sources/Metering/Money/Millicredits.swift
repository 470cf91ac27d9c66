/// An amount of money in the ledger: 1,000 millicredits = 1 credit, 1,000 credits = 1 USD, so 1 millicredit =
/// 1 micro-USD.
///
/// Arithmetic is checked: every operation that could leave the ledger's range is spelled as a throwing or
/// optional function. Balances may be negative (a charge above its hold is posted in full).
public struct Millicredits: Sendable, Hashable {
    /// The largest magnitude that a balance may have: exact in Redis' Lua (below 2^53) and in `BIGINT`.
    public static let magnitudeMax: Int64 = 9_000_000_000_000_000
    /// The largest single charge that is accepted (1,000,000 USD); more is a garbage report, never a bill.
    public static let chargeMax = Millicredits(1_000_000_000_000)
    public static let zero = Millicredits(0)

    public let value: Int64

    /// - Precondition: the caller guarantees |value| ≤ `magnitudeMax`; parsers use `init(exactly:)`.
    public init(_ value: Int64) {
        precondition(value.magnitude <= UInt64(Self.magnitudeMax), "millicredits out of the ledger's range")
        self.value = value
    }

    /// nil outside the ledger's range.
    public init?(exactly value: Int64) {
        guard value.magnitude <= UInt64(Self.magnitudeMax) else { return nil }
        self.value = value
    }

    /// Whole credits to millicredits; nil outside the ledger's range.
    public init?(credits: Int64) {
        let (value, overflow) = credits.multipliedReportingOverflow(by: 1000)
        guard !overflow else { return nil }
        self.init(exactly: value)
    }

    /// nil when the sum leaves the ledger's range.
    public func adding(_ other: Millicredits) -> Millicredits? {
        Millicredits(exactly: self.value + other.value)  // both below 2^53: the sum cannot overflow Int64
    }

    /// nil when the difference leaves the ledger's range.
    public func subtracting(_ other: Millicredits) -> Millicredits? {
        Millicredits(exactly: self.value - other.value)
    }
}

extension Millicredits: Comparable {
    public static func < (left: Millicredits, right: Millicredits) -> Bool { left.value < right.value }
}

extension Millicredits: CustomStringConvertible {
    public var description: String { String(self.value) }

    /// The amount in credits as an exact decimal without trailing zeros, such as `3.72`.
    public var creditsText: String {
        ExactDecimal(coefficient: Int128(self.value), scale: 3).description
    }
}

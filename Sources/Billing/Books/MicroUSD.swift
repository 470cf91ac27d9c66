import Metering

/// An amount of the books, in millionths of a dollar: a cent is 10,000 of them, a millicredit at its nominal
/// value one.
public struct MicroUSD: Sendable, Hashable, Comparable {
    public static let zero = MicroUSD(0)
    public static let perCent: Int64 = 10_000
    /// The most cents that one amount may have; 9 billion dollars, so that no product of this module
    /// overflows.
    public static let centsMax = Millicredits.magnitudeMax / Self.perCent

    public let value: Int64

    public init(_ value: Int64) { self.value = value }

    /// - Precondition: the caller guarantees |cents| ≤ `centsMax`.
    public init(cents: Int64) {
        precondition(cents.magnitude <= UInt64(Self.centsMax), "cents beyond the range of the books")
        self.value = cents * Self.perCent
    }

    /// 1,000 credits = 1 USD.
    public init(nominalOf credits: Millicredits) { self.value = credits.value }

    /// The whole of a day's or a month's cost, half-even to the micro-dollar: the only rounding of COGS. nil
    /// when it does not fit.
    public init?(roundingPicoUSD total: Int128) {
        let (quotient, remainder) = total.magnitude.quotientAndRemainder(dividingBy: 1_000_000)
        let up = remainder > 500_000 || (remainder == 500_000 && quotient % 2 != 0)
        let magnitude = up ? quotient + 1 : quotient
        guard magnitude <= UInt128(Int64.max) else { return nil }
        self.value = total < 0 ? -Int64(magnitude) : Int64(magnitude)
    }

    public static func < (left: MicroUSD, right: MicroUSD) -> Bool { left.value < right.value }
}

extension MicroUSD: CustomStringConvertible {
    /// Dollars with six decimals, such as `-12.345678`.
    public var description: String { FixedDecimal.text(Int128(self.value), decimals: 6) }
}

/// Integers printed as decimals with a fixed number of digits after the point; no rounding, no binary float.
public enum FixedDecimal {
    /// - Parameter grouping: put between groups of three digits before the point.
    public static func text(_ value: Int128, decimals: Int, grouping: String = "") -> String {
        precondition(decimals >= 0 && decimals <= 30, "FixedDecimal.text: the caller names a small scale")
        var digits = String(value.magnitude)
        let missing = decimals + 1 - digits.utf8.count
        if missing > 0 { digits = String(repeating: "0", count: missing) + digits }
        let whole = digits.dropLast(decimals)
        let fraction = digits.suffix(decimals)
        var text = value < 0 ? "-" : ""
        for (position, digit) in whole.enumerated() {
            if position > 0, (whole.count - position) % 3 == 0 { text += grouping }
            text.append(digit)
        }
        if decimals > 0 { text += "." + fraction }
        return text
    }
}

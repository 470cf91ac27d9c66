/// How an exact amount becomes whole millicredits. Every charge is rounded exactly once, here.
public enum RoundingMode: String, Sendable, Hashable, CaseIterable {
    /// Half-even to the millicredit (`BILLING_ROUNDING_MODE=exact`).
    case exact
    /// Up to the next whole credit (`BILLING_ROUNDING_MODE=ceil`).
    case ceil
}

/// An exact amount before rounding, in atto-USD (10^-18 USD): fine enough for cost × markup of the cheapest
/// token.
public struct AttoUSD: Sendable, Hashable {
    public static let perMillicredit: Int128 = 1_000_000_000_000
    public static let perCredit: Int128 = 1_000_000_000_000_000
    public static let perPicoUSD: Int128 = 1_000_000

    public let value: Int128

    public init(_ value: Int128) { self.value = value }
}

/// What a price computation can run into; each is refused, never clamped in silence.
public enum PricingFailure: Error, Equatable, Sendable {
    /// The exact amount does not fit, or is above `Millicredits.chargeMax`.
    case amountTooLarge
    /// The cost does not fit 64 bits of pico-USD.
    case costTooLarge
}

extension Millicredits {
    /// The only rounding of a charge.
    public init(rounding exact: AttoUSD, mode: RoundingMode) throws(PricingFailure) {
        precondition(exact.value >= 0, "charges are computed from non-negative usage and prices")
        switch mode {
        case .exact:
            self = try Self.charge(from: halfEven(exact.value, dividedBy: AttoUSD.perMillicredit))
        case .ceil:
            self = try Self.charge(from: ceilingDivision(exact.value, AttoUSD.perCredit) * 1000)
        }
    }

    /// A hold: the same amount, rounded up, so that hold ≥ charge whatever the remainder.
    public init(roundingUp exact: AttoUSD, mode: RoundingMode) throws(PricingFailure) {
        precondition(exact.value >= 0, "holds are computed from non-negative usage and prices")
        switch mode {
        case .exact: self = try Self.charge(from: ceilingDivision(exact.value, AttoUSD.perMillicredit))
        case .ceil: self = try Self.charge(from: ceilingDivision(exact.value, AttoUSD.perCredit) * 1000)
        }
    }

    private static func charge(from value: Int128) throws(PricingFailure) -> Millicredits {
        guard value <= Int128(Millicredits.chargeMax.value) else { throw .amountTooLarge }
        return Millicredits(Int64(value))
    }
}

/// What an exchange costs the operator, in pico-USD (10^-12 USD), 64 bits.
public struct PicoUSD: Sendable, Hashable {
    public static let zero = PicoUSD(0)
    public let value: Int64

    public init(_ value: Int64) { self.value = value }
}

private func ceilingDivision(_ value: Int128, _ divisor: Int128) -> Int128 {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder > 0 ? quotient + 1 : quotient
}

private func halfEven(_ value: Int128, dividedBy divisor: Int128) -> Int128 {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    let twice = remainder * 2
    if twice > divisor || (twice == divisor && quotient % 2 != 0) { return quotient + 1 }
    return quotient
}

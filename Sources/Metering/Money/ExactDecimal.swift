/// A decimal number read from a person's file, held exactly: `coefficient × 10^-scale`. Never a binary float.
public struct ExactDecimal: Sendable, Hashable {
    public let coefficient: Int128
    /// Number of digits after the point, 0...30, without trailing zeros.
    public let scale: Int

    public enum ParseFailure: Error, Equatable, Sendable {
        case empty, notADecimal, tooManyDigits
    }

    /// Normalises: trailing zeros after the point are dropped, so equal numbers are equal values.
    public init(coefficient: Int128, scale: Int) {
        precondition(scale >= 0, "ExactDecimal.init: scale counts digits after the point")
        var coefficient = coefficient
        var scale = scale
        while scale > 0 && coefficient % 10 == 0 {
            coefficient /= 10
            scale -= 1
        }
        self.coefficient = coefficient
        self.scale = scale
    }

    /// Accepts `-?digits(.digits)?`: no exponent, no sign `+`, no blank, no thousands mark, at most 30
    /// digits.
    public init(parsing text: String) throws(ParseFailure) {
        guard !text.isEmpty else { throw .empty }
        var coefficient: Int128 = 0
        var digits = 0
        var digitsAfterPoint: Int?
        for (position, byte) in text.utf8.enumerated() {
            switch byte {
            case UInt8(ascii: "-") where position == 0:
                continue
            case UInt8(ascii: ".") where digitsAfterPoint == nil && digits > 0:
                digitsAfterPoint = 0
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                digits += 1
                guard digits <= 30 else { throw .tooManyDigits }
                coefficient = coefficient * 10 + Int128(byte - UInt8(ascii: "0"))
                if let seen = digitsAfterPoint { digitsAfterPoint = seen + 1 }
            default:
                throw .notADecimal
            }
        }
        guard digits > 0, digitsAfterPoint != 0 else { throw .notADecimal }
        let negative = text.utf8.first == UInt8(ascii: "-")
        self.init(coefficient: negative ? -coefficient : coefficient, scale: digitsAfterPoint ?? 0)
    }

    /// This number × 10^`power`, when that is a whole number that fits; nil otherwise. Nothing is rounded.
    public func scaledToInteger(powerOfTen power: Int) -> Int128? {
        guard power >= self.scale else { return nil }
        return Self.multiply(self.coefficient, byTenTo: power - self.scale)
    }

    /// Exact product; nil when it no longer fits 128 bits.
    public func multiplied(by other: ExactDecimal) -> ExactDecimal? {
        let (product, overflow) = self.coefficient.multipliedReportingOverflow(by: other.coefficient)
        return overflow ? nil : ExactDecimal(coefficient: product, scale: self.scale + other.scale)
    }

    public var isNegative: Bool { self.coefficient < 0 }

    private static func multiply(_ value: Int128, byTenTo power: Int) -> Int128? {
        var value = value
        for _ in 0..<power {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            guard !overflow else { return nil }
            value = product
        }
        return value
    }
}

extension ExactDecimal: CustomStringConvertible {
    public var description: String {
        var digits = String(self.coefficient.magnitude)
        if self.scale > 0 {
            let missing = self.scale + 1 - digits.utf8.count
            if missing > 0 { digits = String(repeating: "0", count: missing) + digits }
            digits.insert(".", at: digits.index(digits.endIndex, offsetBy: -self.scale))
        }
        return self.coefficient < 0 ? "-" + digits : digits
    }
}

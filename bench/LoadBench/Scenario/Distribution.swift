import Foundation

/// A size that varies from request to request.
public enum Distribution: Equatable, Sendable {
    case constant(Int)
    /// Every value from the first to the second, as likely as any other.
    case uniform(Int, Int)
    /// Half are below `median` and one of a hundred is above `p99`; nothing is above `max`.
    case lognormal(median: Int, p99: Int, max: Int)

    /// How many standard deviations the 99th percentile of a normal distribution is above its mean.
    private static let deviationsOfP99 = 2.326_347_874

    public func sample(_ random: inout SeededRandom) -> Int {
        switch self {
        case .constant(let value): return value
        case .uniform(let low, let high): return Int.random(in: low...high, using: &random)
        case .lognormal(let median, let p99, let max):
            let sigma = log(Double(p99) / Double(median)) / Self.deviationsOfP99
            // Box and Muller; the second value of the pair is not worth keeping.
            let normal = sqrt(-2 * log(random.share())) * cos(2 * .pi * random.share())
            return Int(Swift.min(Double(max), Swift.max(1, Double(median) * exp(sigma * normal))).rounded())
        }
    }

    /// The largest value that can come.
    public var upperBound: Int {
        switch self {
        case .constant(let value), .uniform(_, let value), .lognormal(_, _, let value): value
        }
    }
}

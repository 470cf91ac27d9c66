import Foundation

/// Values to places between 0 and 1, and the marks of an axis.
struct PlotScale: Sendable, Equatable {
    enum Kind: Sendable, Equatable { case linear, logarithmic }

    let kind: Kind
    let low: Double
    let high: Double

    /// Room for all of `values`; logarithmic where the largest is more than 100 times the smallest.
    /// A linear one begins at 0 unless `isTight`, which is for points that are to be told apart, and never for bars.
    init(spanning values: [Double], isTight: Bool = false) {
        let positive = values.filter { $0 > 0 && $0.isFinite }
        let (smallest, largest) = (positive.min() ?? 0, positive.max() ?? 0)
        if smallest > 0, largest / smallest > 100 {
            self.init(.logarithmic, from: smallest, to: largest)
        } else {
            self.init(.linear, from: isTight ? smallest : 0, to: largest)
        }
    }

    /// Widened to marks at both ends.
    init(_ kind: Kind, from smallest: Double, to largest: Double) {
        self.kind = kind
        switch kind {
        case .linear:
            let top = largest > smallest ? largest : smallest + max(1, smallest / 10)
            let step = Self.step(from: smallest, to: top)
            self.low = (smallest / step).rounded(.down) * step
            self.high = (top / step).rounded(.up) * step
        case .logarithmic:
            self.low = pow(10, log10(smallest).rounded(.down))
            self.high = pow(10, log10(largest).rounded(.up))
        }
    }

    /// What lies outside, zero on a logarithmic axis included, is at the end.
    func place(_ value: Double) -> Double {
        let place: Double
        switch self.kind {
        case .linear: place = (value - self.low) / (self.high - self.low)
        case .logarithmic: place = value > 0 ? log(value / self.low) / log(self.high / self.low) : 0
        }
        return place.isFinite ? min(1, max(0, place)) : 0
    }

    func named(_ unit: String) -> String { self.kind == .linear ? unit : "\(unit), log" }

    var marks: [Double] {
        switch self.kind {
        case .linear:
            let step = Self.step(from: self.low, to: self.high)
            let count = Int(((self.high - self.low) / step).rounded())
            return (0...max(1, count)).map { self.low + Double($0) * step }
        case .logarithmic:
            let first = Int(log10(self.low).rounded())
            return (first...max(first, Int(log10(self.high).rounded()))).map { pow(10, Double($0)) }
        }
    }

    /// 1, 2 or 5 times a power of ten, three to six of them.
    private static func step(from low: Double, to high: Double) -> Double {
        let rough = (high - low) / 5
        let magnitude = pow(10, log10(rough).rounded(.down))
        return ([1, 2, 5].map { $0 * magnitude }.first { $0 >= rough * 0.999 }) ?? 10 * magnitude
    }
}

/// Shares of a distribution by their number of nines: 90 % is at 1, 99 % at 2, 99.9 % at 3.
enum Nines {
    static let marks: [(share: Double, label: String)] = [
        (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %"),
    ]
    static let low = Nines.of(0.5)
    static let high = Nines.of(0.9999)

    static func of(_ share: Double) -> Double { -log10(max(1 - share, 1e-12)) }
    static func place(_ nines: Double) -> Double { (nines - self.low) / (self.high - self.low) }
}

/// The part of a distribution that a latency plot shows, from 50 % to 99.99 %.
struct LatencyCurve: Sendable, Equatable {
    struct Point: Sendable, Equatable {
        var nines: Double
        var milliseconds: Double
    }

    /// Ascending; two or more.
    let points: [Point]

    /// nil: less than half of a curve was observed.
    init?(_ quantiles: Quantiles) {
        // The largest of n stands for the last 1/n: no share above that was observed.
        let last = 1 - 1 / Double(max(quantiles.count, 2))
        let seen =
            quantiles.curve.prefix { $0.share < last } + quantiles.curve.drop { $0.share < last }.prefix(1)
        let all = seen.map {
            Point(nines: Nines.of(min($0.share, last)), milliseconds: Double($0.value) / 1000)
        }
        guard let first = all.first, let end = all.last else { return nil }
        let edges = [Nines.low, Nines.high].filter { first.nines < $0 && $0 < end.nines }
        let inside = all.filter { Nines.low...Nines.high ~= $0.nines }
        let points =
            inside
            + edges.compactMap { edge in
                Self.value(in: all, at: edge).map { Point(nines: edge, milliseconds: $0) }
            }
        self.points = points.sorted { ($0.nines, $0.milliseconds) < ($1.nines, $1.milliseconds) }
        if self.points.count < 2 { return nil }
    }

    /// Of the round in the middle by its p50 (the lower one of two), since a mean of curves is the curve of no round.
    init?(medianOf runs: [RunResult], _ distribution: KeyPath<RunResult, Quantiles>) {
        let observed = runs.map { $0[keyPath: distribution] }.filter { $0.count > 0 }.sorted {
            $0.p50 < $1.p50
        }
        guard !observed.isEmpty else { return nil }
        self.init(observed[(observed.count - 1) / 2])
    }

    /// nil where the curve does not reach.
    func milliseconds(at share: Double) -> Double? { Self.value(in: self.points, at: Nines.of(share)) }

    private static func value(in points: [Point], at nines: Double) -> Double? {
        for (before, after) in zip(points, points.dropFirst()) where before.nines...after.nines ~= nines {
            let width = after.nines - before.nines
            let part = width > 0 ? (nines - before.nines) / width : 1
            return before.milliseconds + (after.milliseconds - before.milliseconds) * part
        }
        return nil
    }
}

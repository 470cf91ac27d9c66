/// How long something took, as a histogram in Prometheus' terms. Exact: times are whole nanoseconds.
public struct TimeHistogram: Sendable {
    private let boundsMicroseconds: [Int64]
    private var counts: [Int]
    private var count = 0
    private var nanoseconds: Int128 = 0

    /// - Parameter boundsMicroseconds: upper bounds, rising; `+Inf` comes with them.
    public init(boundsMicroseconds: [Int64]) {
        precondition(
            zip(boundsMicroseconds, boundsMicroseconds.dropFirst()).allSatisfy { $0 < $1 },
            "bounds are written down in the file that makes the histogram")
        self.boundsMicroseconds = boundsMicroseconds
        self.counts = [Int](repeating: 0, count: boundsMicroseconds.count)
    }

    /// A time below zero, which only a clock that was set back can tell, counts as none.
    public mutating func add(nanoseconds: Int64) {
        let time = max(0, nanoseconds)
        self.count += 1
        self.nanoseconds += Int128(time)
        for (index, bound) in self.boundsMicroseconds.enumerated() where time <= bound * 1_000 {
            self.counts[index] += 1
        }
    }

    public func samples(_ name: String, help: String, labels: [MetricSample.Label] = []) -> [MetricSample] {
        func sample(_ suffix: String, _ bound: String? = nil, _ value: ExactDecimal) -> MetricSample {
            MetricSample(
                name, help: help, kind: .histogram, suffix: suffix,
                labels: labels + (bound.map { [.init("le", $0)] } ?? []), value: value)
        }
        func whole(_ count: Int) -> ExactDecimal { ExactDecimal(coefficient: Int128(count), scale: 0) }
        let buckets = zip(self.boundsMicroseconds, self.counts).map { bound, count in
            sample("_bucket", ExactDecimal(coefficient: Int128(bound), scale: 6).description, whole(count))
        }
        return buckets + [
            sample("_bucket", "+Inf", whole(self.count)),
            sample("_sum", nil, ExactDecimal(coefficient: self.nanoseconds, scale: 9)),
            sample("_count", nil, whole(self.count)),
        ]
    }
}

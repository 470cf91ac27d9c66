import Histogram

/// What one event loop saw. Times in microseconds.
struct Tally: Sendable {
    /// Exchanges that began in the measured part; the histograms are of these.
    var started = 0
    var succeeded = 0
    /// Ended in the measured part, whenever they began.
    var completed = 0
    var errors: [String: Int] = [:]
    /// Of all others.
    var otherErrors: [String: Int] = [:]
    var statuses: [Int: Int] = [:]
    /// Arrived in the measured part, whenever their exchange began.
    var chunks = 0
    var receivedBytes = 0
    var firstByte = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
    var gap = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
    var total = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
    var compared = 0
    var differing = 0
    /// Of all exchanges, warm-up and last ones included: money does not know what is measured.
    var due: Int64 = 0
    var chargeable = 0
    var unpriced = 0

    init() {
        self.firstByte.autoResize = true
        self.gap.autoResize = true
        self.total.autoResize = true
    }

    mutating func failed(_ kind: String, isMeasured: Bool) {
        if isMeasured { self.errors[kind, default: 0] += 1 } else { self.otherErrors[kind, default: 0] += 1 }
    }

    mutating func add(_ other: Tally) {
        self.started += other.started
        self.succeeded += other.succeeded
        self.completed += other.completed
        self.errors.merge(other.errors, uniquingKeysWith: +)
        self.otherErrors.merge(other.otherErrors, uniquingKeysWith: +)
        self.statuses.merge(other.statuses, uniquingKeysWith: +)
        self.chunks += other.chunks
        self.receivedBytes += other.receivedBytes
        self.firstByte.add(other.firstByte)
        self.gap.add(other.gap)
        self.total.add(other.total)
        self.compared += other.compared
        self.differing += other.differing
        self.due += other.due
        self.chargeable += other.chargeable
        self.unpriced += other.unpriced
    }
}

extension Quantiles {
    /// Shares that a curve has points at: nines, and enough between them.
    private static let shares = [
        0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.98, 0.985, 0.99,
        0.9925, 0.995,
        0.9975, 0.999, 0.9995, 0.9999, 0.99999, 1,
    ]

    init(_ histogram: Histogram<UInt64>) {
        guard histogram.totalCount > 0 else {
            self = .none
            return
        }
        func value(_ share: Double) -> Int { Int(histogram.valueAtPercentile(share * 100)) }
        self.init(
            count: Int(histogram.totalCount), min: Int(histogram.min), mean: histogram.mean, p50: value(0.5),
            p90: value(0.9), p99: value(0.99), p999: value(0.999), max: Int(histogram.max),
            curve: Self.shares.map { Point(share: $0, value: value($0)) })
    }
}
